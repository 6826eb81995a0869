"""A registry entry made of a stage and its part: one set of options, each to its owner."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest

from relforge.stages.account import Account
from relforge.stages.backend import Backend
from relforge.stages.contract import StageResult


class Part:
    def __init__(self, model: str, size: int = 3) -> None:
        self.model, self.size = model, size


class PartStage:
    name, version = "parts", 1
    inputs: tuple[str, ...] = ("images",)
    outputs: tuple[str, ...] = ("parts",)

    def __init__(self, part: Part, seed: int = 0) -> None:
        self.part, self.seed = part, seed

    def files(self) -> Sequence[str]:
        return [self.part.model]

    def setup(self) -> None: ...

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        return Account().result({})


def test_stage_and_part_get_the_options_that_are_theirs() -> None:
    stage = Backend(PartStage, Part)(model="m", seed=7)
    assert isinstance(stage, PartStage)
    assert (stage.part.model, stage.part.size, stage.seed) == ("m", 3, 7)


def test_the_signature_lists_the_options_of_both_with_their_defaults() -> None:
    options = inspect.signature(Backend(PartStage, Part)).parameters
    assert {name: option.default for name, option in options.items()} == {
        "model": inspect.Parameter.empty,
        "size": 3,
        "seed": 0,
    }


def test_an_option_of_neither_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'sise'"):
        Backend(PartStage, Part)(model="m", sise=4)


def test_a_part_may_take_any_option() -> None:
    def part(model: str, **others: int) -> Part:
        return Part(model, **others)

    stage = Backend(PartStage, part)(model="m", size=5, seed=2)
    assert isinstance(stage, PartStage)
    assert (stage.part.size, stage.seed) == (5, 2)
    assert list(inspect.signature(Backend(PartStage, part)).parameters) == ["model", "seed", "others"]


def test_one_name_for_an_option_of_both_is_refused() -> None:
    def part(seed: int) -> int:
        return seed

    with pytest.raises(ValueError, match="duplicate parameter name: 'seed'"):
        Backend(PartStage, part)

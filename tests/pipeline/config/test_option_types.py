"""Options are of the type that their constructor states, or are refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytest

from relforge.cli.app import invoke
from relforge.evaluation.evaluator import EVALUATORS
from relforge.pipeline.config.option_types import describe_mismatch, option_types
from relforge.stages.registry import BACKENDS, SOURCES
from tests.fixtures.run_fixtures import source

__all__ = ["source"]


@pytest.mark.parametrize(
    ("value", "stated", "expected"),
    [
        (True, bool, None),
        ("false", bool, "true or false"),
        (1, bool, "true or false"),
        (3, int, None),
        (3.0, int, "a whole number"),
        (True, int, "a whole number"),
        (3, float, None),
        ("1e-3", float, "a number"),
        (5, str, "text"),
        (None, int, None),
        (5, str | Sequence[str] | None, "text or a list of text"),
        (["a"], str | Sequence[str], None),
        ([True], Sequence[str], "a list of text"),
        ("abc", Sequence[str], "a list of text"),
        ([1, 0.5], tuple[float, ...], None),
        ({"train": "a"}, str | Mapping[str, str], None),
        ({"train": 1}, Mapping[str, str], "a mapping"),
        ("c", Literal["a", "b"], "one of a, b"),
        ("anything", Any, None),
        ("anything", Callable[[int], int], None),
    ],
)
def test_a_value_fits_what_is_stated(value: object, stated: Any, expected: str | None) -> None:
    assert describe_mismatch(value, stated) == expected


@pytest.mark.parametrize("registry", [*BACKENDS.values(), SOURCES, EVALUATORS], ids=lambda r: r.kind)
def test_the_types_of_every_part_of_relforge_can_be_read(registry: Any) -> None:
    for name in registry:
        assert set(option_types(registry.load(name))) - {"return", "part"}, name


@pytest.mark.parametrize(
    "option",
    [
        "stages.select.threshold=abc",
        "stages.select.top_k_image=1.5",
        "stages.select.overlap_prior=maybe",
        "stages.match.synonyms=5",
        "stages.caption.files=5",
        'dataset.follow_links="false"',
    ],
)
def test_run_names_the_option(
    option: str, tmp_path: Any, source: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text(
        f"dataset: {{name: t, split: t, format: coco, annotations: {source(images=1)}}}\n"
        f"run: {{folder: {tmp_path / 'run'}}}\n"
        "stages:\n"
        "  caption: {backend: import, files: x.json}\n"
        "  match: {backend: synonyms}\n"
        "  select: {backend: select}\n"
    )

    assert invoke(["run", str(tmp_path / "job.yaml"), option]) == 64

    said = capsys.readouterr().err
    assert f"{option.split('=')[0]}: expected" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "option", ["top=abc", "top=-3", "nms=1", "nms=[1,2,x]", "annotations=[a]", "mask=maybe"]
)
def test_eval_names_the_option(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = [] if option.startswith("annotations") else ["annotations=x.json"]

    assert invoke(["eval", "hico", "x.parquet", *annotations, option]) == 64

    said = capsys.readouterr().err
    assert f" {option.split('=')[0]}: " in said
    assert said.count("\n") == 1

"""The batches of a step that share a closed list of labels: its texts are encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import TextEncoder
from relforge.trainer.recipes import relations
from relforge.trainer.shared_texts import SharedTexts


class Reader(nn.Module):
    """Vectors of labels by their lengths; counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -1.0]))
        self.calls = 0

    def encode_labels(self, labels: Labels) -> Labels:
        self.calls += 1
        lengths = torch.tensor([float(len(label)) for label in [*labels.objects, *labels.relations]])
        return Labels(labels.objects, labels.relations, lengths[:, None].sin() * self.weight)


LABELS = Labels(["cat", "horse"], ["rides"])


def losses(features: Tensor | None) -> list[Tensor]:
    assert features is not None
    return [features.square().sum(), features.exp().mean()]


def test_gradients_are_those_of_texts_that_are_encoded_for_every_batch() -> None:
    apart, together = Reader(), Reader()
    for batch in range(2):
        losses(apart.encode_labels(LABELS).features)[batch].backward()
    texts = SharedTexts()
    for batch in range(2):
        losses(texts.encode(together, LABELS).features)[batch].backward()
    assert together.weight.grad is None
    texts.end_step()
    assert together.calls == 1
    assert apart.weight.grad is not None
    torch.testing.assert_close(together.weight.grad, apart.weight.grad)


def test_the_next_step_encodes_them_anew() -> None:
    model, texts = Reader(), SharedTexts()
    for _ in range(2):
        losses(texts.encode(model, LABELS).features)[0].backward()
        texts.end_step()
    assert model.calls == 2


def test_other_labels_within_a_step_are_refused() -> None:
    model, texts = Reader(), SharedTexts()
    texts.encode(model, LABELS)
    with pytest.raises(ValueError, match="cannot be shared"):
        texts.encode(model, Labels(["cat"], ["rides"]))


def test_a_recipe_of_closed_labels_encodes_its_texts_once_a_step(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = TextEncoder.encode

    def count(self: TextEncoder, labels: Sequence[str]) -> Tensor:
        calls.append(len(labels))
        return encode(self, labels)

    monkeypatch.setattr(TextEncoder, "encode", count)
    settings["optimisation"] |= {"accumulate": 2}
    relations.main(settings | {"labels": "closed", "steps": 2})
    assert len(calls) == 2
    calls.clear()
    relations.main(settings | {"out": settings["out"] + "-open", "steps": 2})
    assert len(calls) == 4

"""`labels` and `batch.subject_label` of a recipe: what a model is trained against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relforge.data.batches import Batch
from relforge.models.family import Family, Losses
from relforge.trainer import processes
from relforge.trainer.recipe import load_data, train_and_save
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from

SHORT = {"object_labels": 1, "relation_labels": 1}
"""An open list that holds the names of its batch alone."""


def batches_of(values: dict[str, Any]) -> list[Batch]:
    """The batches that the recipe trains on; the loss is a weight's square."""
    seen: list[Batch] = []

    def step_loss(
        _: Family, losses: Losses
    ) -> Callable[[nn.Module, Batch, torch.Generator], dict[str, Tensor]]:
        def compute(model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
            seen.append(batch)
            return {"total": next(p for p in model.parameters() if p.requires_grad).square().sum()}

        return compute

    train_and_save(settings_from(values), step_loss, processes.join())
    return seen


@pytest.mark.parametrize("labels", ["open", "closed"])
def test_closed_lists_have_every_name_of_the_data_in_its_order(settings: dict[str, Any], labels: str) -> None:
    settings["model"]["kind"] = "parsed"
    settings |= {"labels": labels, "noise": {}}
    settings["batch"] |= SHORT
    data = load_data(settings_from(settings))
    for batch in batches_of(settings):
        whole = batch.labels.relations == data.predicates
        assert whole == (labels == "closed")
        assert (batch.labels.objects == [*data.categories, "no objects"]) == whole


def test_a_model_with_heads_has_no_open_lists(settings: dict[str, Any]) -> None:
    settings["model"] = {"kind": "qahoi", "backbone": settings["model"]["backbone"]}
    settings |= {"labels": "open", "noise": {}}
    with pytest.raises(ValueError, match="labels: qahoi has a head for every label"):
        relations.main(settings)


def test_published_subjects_are_all_of_one_class(settings: dict[str, Any]) -> None:
    settings["model"]["kind"] = "parsed"
    settings |= {"labels": "closed", "noise": {}, "steps": 2}
    settings["batch"] |= {"subject_label": "bicycle"}
    for batch in batches_of(settings):
        expected = batch.labels.objects.index("bicycle")
        for target in batch.targets:
            assert set(target.subject_labels.tolist()) <= {expected}
        assert any(len(target) for target in batch.targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "all"}, "labels: 'all' is not open or closed"),
        ({"batch": {"subject_label": "unicorn"}}, r"batch\.subject_label: the data has no class 'unicorn'"),
    ],
)
def test_bad_choices_are_named(settings: dict[str, Any], change: dict[str, Any], message: str) -> None:
    settings["batch"] |= change.pop("batch", {})
    with pytest.raises(ValueError, match=message):
        relations.main(settings | change)

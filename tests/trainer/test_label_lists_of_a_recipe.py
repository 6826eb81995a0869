"""`labels` and `batch.subject_label` of a recipe: what a model is trained against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relforge.data.batches import Batch, Batches, BatchOptions
from relforge.data.label_lists import ClosedLabels
from relforge.models.checkpoint import load_model
from relforge.models.family import Family, Losses
from relforge.stages.closed_labels import load_labels
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


@pytest.mark.parametrize("kind", ["rtagger", "parsed", "qahoi"])
def test_a_closed_list_by_name_is_that_of_every_batch_and_of_the_model(
    settings: dict[str, Any], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["model"]["kind"] = kind
    if kind != "rtagger":
        settings["noise"] = {}
    if kind == "qahoi":
        settings["model"] = {"kind": kind, "backbone": settings["model"]["backbone"]}
    settings |= {"labels": "vg150", "steps": 1}
    vg150 = load_labels("vg150")

    for batch in batches_of(settings):
        assert batch.labels.objects == [*vg150.classes, "no objects"]
        assert batch.labels.relations == vg150.predicates
        assert any(target.relations.sum() > 0 for target in batch.targets)

    assert "labels vg150: " in capsys.readouterr().out
    blueprint = load_model(f"{settings['out']}/model").blueprint
    assert (list(blueprint.classes), list(blueprint.relations)) == (vg150.classes, vg150.predicates)


def test_one_predicate_of_a_pair_is_drawn_where_they_exclude_each_other(settings: dict[str, Any]) -> None:
    data = load_data(settings_from(settings))
    codes = np.stack([data.relations, (data.relations + 1) % len(data.predicates)], 1).reshape(-1)
    two = replace(data, relations=codes, relation_start=2 * data.relation_start)
    options = BatchOptions(size=4, short_sides=(48,), long_side=64, mirror=0.0)

    def rows(one_predicate: bool) -> list[list[float]]:
        batches = Batches(two, replace(options, one_predicate=one_predicate), 0, labels=ClosedLabels(two))
        drawn = [batches.at(step) for step in range(6)]  # two epochs
        return [row for batch in drawn for target in batch.targets for row in target.relations.tolist()]

    both, one = rows(False), rows(True)
    assert {sum(row) for row in both} == {2.0}
    assert {sum(row) for row in one} == {1.0}
    # the two epochs draw apart
    assert sorted(one[: len(one) // 2]) != sorted(one[len(one) // 2 :])


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

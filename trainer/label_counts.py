"""What a recipe's data say of labels: the list that renames them, and how often each occurs."""

from __future__ import annotations

from relforge.data.label_counts import count_labels
from relforge.models.blueprint import Blueprint
from relforge.models.training.label_counts import LabelCounts
from relforge.stages.closed_labels import ClosedLabels, load_labels
from relforge.trainer.settings import Settings


def label_list(settings: Settings) -> ClosedLabels | None:
    """The list by whose names the data's are renamed; None: they keep them."""
    return None if settings.labels in (None, "open", "closed") else load_labels(settings.labels)


def counts_of(settings: Settings, blueprint: Blueprint) -> LabelCounts:
    """Of the whole training data, in the labels of a model."""
    return count_labels(settings.data, blueprint.classes, blueprint.relations, label_list(settings))

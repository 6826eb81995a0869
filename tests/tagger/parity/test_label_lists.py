"""Merging a batch's names, against the published code (goldens g2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from relforge.tagger.label_lists import LabelLists, merge
from relforge.tagger.targets import Targets


def as_targets(stored: dict[str, Any], relations: int) -> Targets:
    count = len(stored["sub_labels"])
    return Targets(
        subject_boxes=torch.zeros(count, 4),
        object_boxes=torch.zeros(count, 4),
        subject_labels=torch.tensor(stored["sub_labels"], dtype=torch.long),
        object_labels=torch.tensor(stored["obj_labels"], dtype=torch.long),
        relations=torch.tensor(stored["verb_labels"]).reshape(count, relations),
    )


def test_merging_names_and_pointing_targets_at_them(goldens: Path) -> None:
    stored = json.loads((goldens / "g2_merge_batch.json").read_text())
    lists = [LabelLists(tuple(o), tuple(r)) for o, r in stored["input"]["text"]]
    targets = [
        as_targets(t, len(own.relations)) for t, own in zip(stored["input"]["targets"], lists, strict=True)
    ]

    merged, moved = merge(lists, targets)

    assert [[list(merged.objects), list(merged.relations)]] == stored["output"]["text"]
    for ours, theirs in zip(moved, stored["output"]["targets"], strict=True):
        assert ours.subject_labels.tolist() == theirs["sub_labels"]
        assert ours.object_labels.tolist() == theirs["obj_labels"]
        assert ours.relations.tolist() == theirs["verb_labels"]

"""Box terms in several processes: divided by the mean number of pairs per process, as published."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import multiprocessing

from relforge.data.batches import Batch
from relforge.data.label_lists import LabelList
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.training.targets import Targets
from relforge.models.zoo import family
from relforge.trainer.processes import Processes
from relforge.trainer.recipes.relations import StepLoss
from relforge.trainer.settings import Settings
from tests.fixtures import tiny_tagger

PAIRS = (1, 5)
"""Labelled pairs of the batch of either process."""
ALONE = Processes(0, 1, torch.device("cpu"))


def batch(pairs: int) -> Batch:
    """One image with that many pairs."""
    boxes = torch.full((pairs, 4), 0.3)
    labels = torch.zeros(pairs, dtype=torch.long)
    targets = Targets(boxes, boxes + 0.2, labels, labels + 1, torch.ones(pairs, 1))
    names = LabelList([*tiny_tagger.CLASSES, NO_OBJECTS], ["riding"], np.arange(4), np.arange(1))
    image = torch.randn(1, 3, 64, 80, generator=torch.Generator().manual_seed(1))
    return Batch(image, None, [targets], [], names)


def box_terms(kind: str, group: Processes, pairs: int) -> dict[str, float]:
    """The losses of one step of that model in that group."""
    settings = Settings(out="", data=[], model={})
    compute = StepLoss(family(kind), settings, group)
    terms = compute(tiny_tagger.model(kind), batch(pairs), torch.Generator().manual_seed(2))
    return {name: float(value.detach()) for name, value in terms.items()}


def run_process(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    group = Processes(rank, 2, torch.device("cpu"))
    found = {kind: box_terms(kind, group, PAIRS[rank]) for kind in ("rtagger", "parsed")}
    torch.save(found, f"{folder}/terms-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_subject_boxes_are_divided_by_the_mean_number_of_pairs_per_process(tmp_path: Path) -> None:
    multiprocessing.spawn(run_process, (str(tmp_path),), nprocs=2)

    mean = sum(PAIRS) / len(PAIRS)
    for rank, own in enumerate(PAIRS):
        found = torch.load(tmp_path / f"terms-{rank}.pt", weights_only=True)
        for kind in found:
            alone = box_terms(kind, ALONE, own)
            for term in ("subject_boxes", "subject_giou"):
                assert found[kind][term] == pytest.approx(alone[term] * own / mean, rel=1e-5), (kind, term)
            for term in ("object_boxes", "object_giou", "labels", "relations"):
                assert found[kind][term] == pytest.approx(alone[term], rel=1e-5), (kind, term)


def test_a_batch_without_pairs_divides_by_one() -> None:
    assert box_terms("parsed", ALONE, 0)["subject_boxes"] == 0

"""CDN's counts of the last batches: what leaves, what a snapshot holds, one queue for all processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import multiprocessing

from relforge.models.cdn.reweighting import LabelQueue, RareLabels, count_relations, weights_of

COUNTS = (torch.tensor([1, 2, 10]), torch.tensor([0, 5, 20]), torch.tensor([4, 0, 30]))


def test_the_sum_is_of_the_last_calls() -> None:
    queue = LabelQueue(2)
    sums = [queue.append(counts.clone()).tolist() for counts in COUNTS]
    assert sums == [[1, 2, 10], [1, 7, 30], [4, 5, 50]]
    assert len(queue) == 2


def test_a_queue_continues_from_its_state() -> None:
    queue, other = LabelQueue(2), LabelQueue(2)
    for counts in COUNTS[:2]:
        queue.append(counts.clone())
    other.load_state_dict(queue.state_dict())
    assert other.append(COUNTS[2].clone()).equal(queue.append(COUNTS[2].clone()))
    other.load_state_dict({})
    assert len(other) == 0
    assert other.append(COUNTS[0].clone()).equal(COUNTS[0])


def test_the_training_set_decides_at_first() -> None:
    static = torch.tensor([1.0, 1.0, 0.5])
    weigh = RareLabels(static, count_relations, LabelQueue())
    labels = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])  # 1 image, 4 queries
    dynamic = weights_of(torch.tensor([2, 1, 1]))
    torch.testing.assert_close(weigh(labels), 0.9 * static + 0.1 * dynamic)
    assert dynamic[1] > dynamic[0]


def append_in_process(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    queue = LabelQueue()
    queue.append(COUNTS[rank].clone())
    torch.save(queue.state_dict(), f"{folder}/queue-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_share_one_queue(tmp_path: Path) -> None:
    multiprocessing.spawn(append_in_process, (str(tmp_path),), nprocs=2)
    queues = [torch.load(tmp_path / f"queue-{rank}.pt")["entries"] for rank in (0, 1)]
    assert queues[0].tolist() == queues[1].tolist() == [[1, 7, 30]]

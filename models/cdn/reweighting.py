"""CDN's second stage: labels weigh more the rarer they are, in the training set and in the last batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

POWER = 0.7
DECAY, MAX_STATIC = 0.999, 0.9
BACKGROUND = 3  # rows of the background for every labelled one, in a training set


def weights_of(counts: Tensor) -> Tensor:
    """Weights C + 1 of counts C + 1, the last one the background.

    (total / count)^0.7, where the total is without background, over their mean; labels that do not occur
    weigh 0 and take no part in it. The background's weight is left as it is, as published.
    """
    counts = counts.double()
    total = counts[:-1].sum()
    weights = torch.where(counts > 0, (total / counts.clamp(min=1)) ** POWER, 0.0)
    present = weights[:-1][counts[:-1] > 0]
    weights[:-1] /= present.mean() if len(present) else 1.0
    return weights.float()


def with_background(counts: Tensor) -> Tensor:
    """Counts C of a training set -> C + 1."""
    return torch.cat([counts, BACKGROUND * counts.sum()[None]])


@dataclass
class LabelQueue:
    """Counts of the last calls, the oldest leave first. One entry a call: a decoder layer of a step.

    Args:
        size: of the queue; 4704 published.
    """

    size: int = 4704
    entries: deque[Tensor] = field(default_factory=deque)
    total: Tensor | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, counts: Tensor) -> Tensor:
        """Add counts C + 1, summed over the processes, and return the sum of all entries."""
        if torch.distributed.is_initialized():
            # published: a queue per process; with one for all a snapshot of the first process is complete
            torch.distributed.all_reduce(counts)
        counts = counts.cpu()
        self.total = counts.clone() if self.total is None else self.total + counts
        self.entries.append(counts)
        if len(self.entries) > self.size:
            self.total = self.total - self.entries.popleft()
        return self.total

    def state_dict(self) -> dict[str, Tensor]:
        """The entries, N x (C + 1)."""
        return {"entries": torch.stack(list(self.entries))} if self.entries else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up the entries of a snapshot."""
        self.entries = deque(state["entries"].unbind() if state else ())
        self.total = state["entries"].sum(0) if state else None


@dataclass
class RareLabels:
    """Label weights of a call: those of the training set, and of the queue the more it has seen.

    Args:
        static: C + 1, of the training set.
        count: labels of the call -> counts C + 1.
        queue: None: the static weights alone.
    """

    static: Tensor
    count: Callable[[Tensor], Tensor]
    queue: LabelQueue | None

    @torch.no_grad()
    def __call__(self, labels: Tensor) -> Tensor:
        """Weights C + 1 for these labels, which are counted first."""
        weights = self.static
        if self.queue is not None:
            dynamic = weights_of(self.queue.append(self.count(labels)))
            share = min(DECAY ** len(self.queue), MAX_STATIC)
            weights = share * weights + (1 - share) * dynamic
        return weights.to(labels.device)

    def state_dict(self) -> dict[str, Tensor]:
        """What a snapshot of training needs."""
        return {} if self.queue is None else self.queue.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a snapshot."""
        if self.queue is not None:
            self.queue.load_state_dict(state)


def count_objects(classes: int) -> Callable[[Tensor], Tensor]:
    """Queries of every class, N x Q indices; the last is "no objects"."""
    return lambda labels: torch.bincount(labels.flatten(), minlength=classes + 1)


def count_relations(targets: Tensor) -> Tensor:
    """True relations of N x Q x R, and queries without any."""
    true = (targets == 1).flatten(0, -2)
    return torch.cat([true.sum(0), (~true.any(1)).sum()[None]])

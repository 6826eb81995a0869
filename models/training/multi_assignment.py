"""How many queries each target is trained on, by how good the predictions for it are (SpeaQ, CVPR 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.boxes import iou, xyxy_from_cxcywh

QUALITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "max": torch.maximum,
    "min": torch.minimum,
    "gm": lambda subjects, objects: (subjects * objects).sqrt(),
    "am": lambda subjects, objects: (subjects + objects) / 2,
}
"""IoU of a query's subject and of its object with a target's -> how good the pair is: the better end, the
worse one, the geometric and the arithmetic mean."""

SCHEMES = ("dynamic", "static")


@dataclass(frozen=True)
class MultiAssignment:
    """Every target is repeated before the matching, so that several queries learn it.

    Args:
        k: how often; with `dynamic` the number of queries whose quality counts, and the most repeats.
        scheme: `dynamic`, by the sum of the k best qualities, or `static`, always k.
        quality: a key of `QUALITIES`.
        predicate_weight: of the probability of the target's predicate, added to the quality. The published
            -0.5 gives a target that is found but not yet named more queries; the code's default is 1.

    Raises:
        ValueError: an unknown name, or a k below 1.
    """

    k: int = 4
    scheme: str = "dynamic"
    quality: str = "max"
    predicate_weight: float = -0.5

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            choices = ", ".join(QUALITIES)
            raise ValueError(f"assign.multi.quality is {self.quality!r}; choose one of {choices}")
        if self.scheme not in SCHEMES:
            raise ValueError(f"assign.multi.scheme is {self.scheme!r}; choose one of {', '.join(SCHEMES)}")
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"assign.multi.k is {self.k!r}; it is a number of queries, 1 or more")

    def quality_of(
        self,
        subjects: tuple[Tensor, Tensor],
        objects: tuple[Tensor, Tensor],
        probability: Tensor,
        own: Tensor,
    ) -> Tensor:
        """Quality of every predicate query for every target of one image, L x Q x T for L decoder layers.

        Args:
            subjects, objects: boxes of the pair queries, L x P x 4, and of the targets, T x 4; cxcywh in
                [0, 1].
            probability: L x Q x T, of the target's predicates; those of a pair next to each other.
            own: Q x T, False where the query is of another group: its boxes count as 0, as published.
        """
        subject, object_ = _overlaps(*subjects), _overlaps(*objects)
        absent = (objects[1] == 0).all(1)  # a pair without object is as good as its subject
        combined = QUALITIES[self.quality](subject, torch.where(absent, subject, object_))
        copies = probability.shape[1] // combined.shape[1]
        return combined.repeat_interleave(copies, 1) * own + self.predicate_weight * probability

    def repeats(self, quality: Tensor) -> Tensor:
        """How often each target is repeated, L x T, from the L x Q x T quality.

        Whole numbers, at least 1; the sum is cut, not rounded. Above k only where `predicate_weight` is
        positive.
        """
        if self.scheme == "static":
            return torch.full_like(quality[:, 0], self.k, dtype=torch.long)
        best = quality.topk(min(self.k, quality.shape[1]), 1).values
        return best.sum(1).long().clamp(min=1)


def limit_load(
    repeats: Sequence[int],
    groups: Sequence[int],
    quality: Sequence[float],
    queries: Sequence[int],
    max_load: float,
) -> list[int]:
    """Fewer repeats where the targets of a group would take more than a share of its queries.

    The largest number goes down first, of equal ones that with the lowest quality. A target keeps one.

    Args:
        repeats, groups, quality: of every target of an image: how often it is repeated, its group (-1: none),
            the sum of its qualities.
        queries: of each group.
        max_load: share of a group's queries.
    """
    limited = list(repeats)
    for group, count in enumerate(queries):
        members = [target for target, its in enumerate(groups) if its == group]
        surplus = sum(limited[target] for target in members) - max_load * count
        while surplus > 0:
            first = max(members, key=lambda target: (limited[target], -quality[target]))
            if limited[first] == 1:
                break
            limited[first] -= 1
            surplus -= 1
    return limited


def _overlaps(predicted: Tensor, targets: Tensor) -> Tensor:
    """IoUs L x Q x T of boxes L x Q x 4 and T x 4."""
    return iou(xyxy_from_cxcywh(predicted)[..., None, :], xyxy_from_cxcywh(targets))

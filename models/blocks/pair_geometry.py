"""How two boxes lie to each other: what a query of a pair cannot see in each box by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relforge.models.blocks.boxes import area, xyxy_from_cxcywh
from relforge.models.blocks.layers import MLP

NUMBERS = 14
_LEAST = 1e-3
"""Least side of a box, as a share of the image."""
_REACH = 4.0
"""Numbers are cut at this."""


class PairGeometry(nn.Module):
    """A perceptron over `describe_pair`, whose last layer is zero at first.

    Args:
        dim: width of the relation queries.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = MLP(NUMBERS, dim, dim)
        for last in (self.mix.layers[-1].weight, self.mix.layers[-1].bias):
            nn.init.zeros_(last)

    def forward(self, subjects: Tensor, objects: Tensor) -> Tensor:
        """N x P x dim of N x P x 4 boxes each, cxcywh in [0, 1]."""
        return self.mix(describe_pair(subjects, objects))


def describe_pair(subjects: Tensor, objects: Tensor) -> Tensor:
    """Fourteen numbers about pairs of boxes, each cut to [-4, 4]: ... x 4 and ... x 4 cxcywh -> ... x 14.

    Offset of the centres in the subject's width and height, and their absolute values; distance of the
    centres over the sum of the roots of the areas; IoU; intersection as a share of each; log ratio of the
    areas; both log areas; both log aspects; the share of the image that the hull of both covers.
    """
    subjects = torch.cat([subjects[..., :2], subjects[..., 2:].clamp(min=_LEAST)], -1)
    objects = torch.cat([objects[..., :2], objects[..., 2:].clamp(min=_LEAST)], -1)
    a, b = xyxy_from_cxcywh(subjects), xyxy_from_cxcywh(objects)
    area_a, area_b = area(a), area(b)
    offset = objects[..., :2] - subjects[..., :2]
    relative = offset / subjects[..., 2:]
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    shared = inner.prod(-1)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    numbers = torch.stack(
        [
            *relative.unbind(-1),
            *relative.abs().unbind(-1),
            offset.norm(dim=-1) / (area_a.sqrt() + area_b.sqrt()),
            shared / (area_a + area_b - shared),
            shared / area_a,
            shared / area_b,
            (area_b / area_a).log(),
            area_a.log() / 2,
            area_b.log() / 2,
            (subjects[..., 2] / subjects[..., 3]).log(),
            (objects[..., 2] / objects[..., 3]).log(),
            hull.prod(-1),
        ],
        -1,
    )
    return numbers.clamp(-_REACH, _REACH)

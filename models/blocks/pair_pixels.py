"""What the image shows of a pair: its hull, looked at as a whole."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.decoder import Memory
from relforge.models.blocks.layers import MLP

GRID = 8
"""Points of the hull along either side."""
_MARGIN = 0.06
"""What is looked at beyond the hull, as a share of its sides."""


class PairPixels(nn.Module):
    """Two convolutions over a grid of the finest encoded level, and a perceptron, zero at first.

    The grid covers the hull of both boxes; two more channels say which of its points lie in the subject's and
    which in the object's box. Deformable attention has to learn where to look, at a handful of points; a gaze
    or a leash lies anywhere in the hull.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(dim + 2, dim, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(dim, dim, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.mix = MLP(dim * (GRID // 4) ** 2, dim, dim)
        for last in (self.mix.layers[-1].weight, self.mix.layers[-1].bias):
            nn.init.zeros_(last)

    def forward(self, boxes: Tensor, memory: Memory) -> Tensor:
        """N x P x dim of pairs.

        Args:
            boxes: N x 2P x 4 cxcywh in [0, 1]; subjects first, then objects.
            memory: of B images; N = B * decoder batches, those of an image next to each other.
        """
        subjects, objects = xyxy_from_cxcywh(boxes).chunk(2, 1)
        points = _grid(subjects, objects)  # N x P x GRID x GRID x 2
        inside = torch.stack([_inside(points, subjects), _inside(points, objects)], 2)
        seen = _sample(points, memory)  # N x P x dim x GRID x GRID
        reduced = self.reduce(torch.cat([seen, inside.to(seen.dtype)], 2).flatten(0, 1))
        mixed: Tensor = self.mix(reduced.flatten(1))
        return mixed.unflatten(0, (*boxes.shape[:1], -1))


def _grid(subjects: Tensor, objects: Tensor) -> Tensor:
    """Points (x, y) in [0, 1] over the hulls of N x P x 4 xyxy boxes each."""
    first = torch.minimum(subjects[..., :2], objects[..., :2])
    last = torch.maximum(subjects[..., 2:], objects[..., 2:])
    first, last = first - _MARGIN * (last - first), last + _MARGIN * (last - first)
    steps = (torch.arange(GRID, device=first.device, dtype=first.dtype) + 0.5) / GRID
    along = first[..., None, :] + steps[:, None] * (last - first)[..., None, :]  # N x P x GRID x 2
    x = along[..., 0][..., None, :].expand(*along.shape[:-1], GRID)
    y = along[..., 1][..., :, None].expand(*along.shape[:-1], GRID)
    return torch.stack([x, y], -1)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points N x P x GRID x GRID x 2 lie in the pair's box, N x P x 4 xyxy."""
    corners = boxes[:, :, None, None]
    return ((points >= corners[..., :2]) & (points <= corners[..., 2:])).all(-1)


def _sample(points: Tensor, memory: Memory) -> Tensor:
    """The finest level at those points."""
    batch_size, (height, width) = len(memory.values), memory.shapes[0]
    level = memory.values[:, : height * width].transpose(1, 2).unflatten(2, (height, width))
    rows = points.unflatten(0, (batch_size, -1)).flatten(1, 3)  # B x (decoder batches * P * GRID) x GRID x 2
    # boxes are shares of the image, the level is padded
    at = 2 * rows * memory.valid_ratios[:, 0, None, None] - 1
    # in float32: bfloat16 would round a place to a 256th of the image
    seen = F.grid_sample(level.float(), at.float(), padding_mode="border", align_corners=False)
    seen = seen.to(level.dtype)
    return (
        seen.transpose(1, 2)
        .unflatten(1, (-1, GRID))
        .transpose(2, 3)
        .reshape(*points.shape[:2], -1, GRID, GRID)
    )

"""What the image shows of a pair: the crop of its hull, looked at by a small network of its own."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.layers import MLP

_MARGIN = 0.08
"""What is looked at beyond the hull, as a share of its longer side."""
_CHANNELS = (5, 24, 48, 96, 128)
"""Red, green, blue, both boxes; then of each convolution."""
LEAST_POINTS = 16
"""Along either side of a crop; the convolutions halve them four times."""
_CELLS = 4
"""What the convolutions find is averaged over so many columns and rows, however many points there are."""


class Shown(NamedTuple):
    """A batch of images as the model was given them.

    Args:
        images: B x 3 x H x W, normalised.
        valid: B x 2, the (x, y) share of each image that is not padding.
    """

    images: Tensor
    valid: Tensor


class PairPixels(nn.Module):
    """Four convolutions over a crop of the image, chosen from by the pair's classes; zero at first.

    The crop is a square around the hull of both boxes, so that shapes keep their aspect, turned so that the
    subject is on the left; two more channels say which of its points lie in the subject's and which in the
    object's box. The maps of the backbone are too coarse for a gaze, a hand or a leash of few pixels, and
    deformable attention reads them at a handful of points.

    Args:
        dim: width of the model.
        points: of the crop along either side; no weight depends on it.
    """

    def __init__(self, dim: int, points: int) -> None:
        super().__init__()
        self.points = points
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(_CHANNELS)):
            size = 3 if number else 5
            layers += [nn.Conv2d(before, after, size, stride=2, padding=size // 2), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(_CELLS))
        self.seen = nn.Linear(_CHANNELS[-1] * _CELLS**2, 2 * dim)
        self.wanted = MLP(2 * dim, 2 * dim, 2 * dim)
        self.mix = MLP(2 * dim, dim, dim)
        self.direct = MLP(2 * dim, dim, dim)
        for last in (self.mix.layers[-1], self.direct.layers[-1]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, boxes: Tensor, labels: Tensor, filled: Tensor, shown: Shown) -> tuple[Tensor, Tensor]:
        """What is added to relation queries, and to relation states as they are classified: N x P x dim.

        Args:
            boxes: N x 2P x 4 cxcywh in [0, 1]; subjects first, then objects.
            labels: N x 2P x dim features of their classes.
            filled: N x P, False where there is no pair; what is found there has no meaning.
            shown: B images; N = B * decoder batches, those of an image next to each other.
        """
        subjects, objects = xyxy_from_cxcywh(boxes.float()).chunk(2, 1)
        crops = crop_pairs(subjects, objects, shown, self.points).flatten(0, 1)
        classes = torch.cat(labels.chunk(2, 1), -1).flatten(0, 1)
        if crops.device.type != "cpu":  # a GPU would wait for the number of pairs
            found = self._look(crops, classes)
        else:
            some = self._look(crops[filled.flatten()], classes[filled.flatten()])
            found = some.new_zeros(filled.numel(), some.shape[1])
            found[filled.flatten()] = some
        content, direct = found.unflatten(0, filled.shape).chunk(2, -1)
        return content, direct

    def _look(self, crops: Tensor, classes: Tensor) -> Tensor:
        """M x 2 dim of M x 5 x S x S and M x 2 dim."""
        seen = self.seen(self.convolutions(crops).flatten(1))
        chosen = (seen * self.wanted(classes).sigmoid()).relu()
        return torch.cat([self.mix(chosen), self.direct(chosen)], -1)


def crop_pairs(subjects: Tensor, objects: Tensor, shown: Shown, points: int) -> Tensor:
    """What pairs of boxes show: N x P x 5 x S x S.

    Args:
        subjects, objects: N x P x 4 xyxy in [0, 1] each.
        shown: B images; N = B * decoder batches.
        points: S, along either side.
    """
    places = _points(subjects, objects, shown, points)
    inside = torch.stack([_inside(places, subjects), _inside(places, objects)], 2)
    return torch.cat([_sample(places, shown), inside], 2)


def _points(subjects: Tensor, objects: Tensor, shown: Shown, count: int) -> Tensor:
    """Columns (x) and rows (y) in [0, 1] of squares around the hulls of N x P x 4 xyxy: N x P x count x 2.

    Columns go from right to left where the subject is on the right.
    """
    height, width = shown.images.shape[2:]
    sides = torch.stack([shown.valid[:, 0] * width, shown.valid[:, 1] * height], -1)  # of no padding
    scale = sides.repeat_interleave(len(subjects) // len(sides), 0)[:, None]
    first = torch.minimum(subjects[..., :2], objects[..., :2]) * scale
    last = torch.maximum(subjects[..., 2:], objects[..., 2:]) * scale
    half = (0.5 + _MARGIN) * (last - first).amax(-1, keepdim=True)
    steps = torch.linspace(-1 + 1 / count, 1 - 1 / count, count, device=first.device, dtype=first.dtype)
    # who looks at whom is then one pattern, not two
    turned = subjects[..., 0] + subjects[..., 2] > objects[..., 0] + objects[..., 2]
    signs = torch.stack([1.0 - 2.0 * turned, torch.ones_like(scale[..., 0]).expand(turned.shape)], -1)
    middle = (first + last) / 2
    return (middle[..., None, :] + (half * signs)[..., None, :] * steps[:, None]) / scale[:, :, None]


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """1 where points N x P x S x 2 meet in the pair's box, N x P x 4 xyxy, else 0: N x P x S x S."""
    within = (points >= boxes[:, :, None, :2]) & (points <= boxes[:, :, None, 2:])
    across, down = within.float().unbind(-1)
    return down[..., :, None] * across[..., None, :]


def _sample(points: Tensor, shown: Shown) -> Tensor:
    """The images where columns and rows N x P x S x 2 meet, N x P x 3 x S x S; zero beyond edges."""
    images, valid = shown
    # boxes are shares of the image, which is padded
    shares = valid.repeat_interleave(len(points) // len(images), 0)[:, None, None]
    # in float32: bfloat16 would round a place to a 256th of the image
    across, down = (2 * points * shares - 1).float().unbind(-1)
    count = across.shape[-1]
    square = (*across.shape, count)
    at = torch.stack([across[..., None, :].expand(square), down[..., :, None].expand(square)], -1)
    rows = at.unflatten(0, (len(images), -1)).flatten(1, 3)  # B x (decoder batches * P * S) x S x 2
    seen = F.grid_sample(images.float(), rows, padding_mode="zeros", align_corners=False)
    seen = seen.transpose(1, 2).unflatten(1, (-1, count)).transpose(2, 3)
    return seen.reshape(*points.shape[:2], 3, count, count)

"""Box arithmetic shared by decoders, matching and losses. Boxes are normalised to [0, 1] unless stated."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Logit of `x`, clamped to [0, 1] first and kept finite by `eps` (Deformable DETR)."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))


def xyxy_from_cxcywh(boxes: Tensor) -> Tensor:
    """Corners (..., 4) of centre-size boxes (..., 4)."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def area(boxes: Tensor) -> Tensor:
    """Area (...) of xyxy boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of xyxy boxes that broadcast against each other; 0 where neither has an area.

    `iou(a[:, None], b[None])` is the N x M table, `iou(a, b)` pairs rows.
    """
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    intersection = inner[..., 0] * inner[..., 1]
    union = area(a) + area(b) - intersection
    return torch.where(union > 0, intersection / union, 0.0)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al., 2019) of xyxy boxes that broadcast against each other.

    `generalised_iou(a[:, None], b[None])` is the N x M table, `generalised_iou(a, b)` pairs rows.

    Boxes on a GPU are not checked, since reading the answer would wait for it; what is not finite stays so.

    Raises:
        FloatingPointError: a coordinate is not finite.
        ValueError: a box has its right or lower edge before its left or upper one.
    """
    for name, boxes in (("first", a), ("second", b)) if a.device.type == "cpu" else ():
        if not bool((boxes[..., 2:] >= boxes[..., :2]).all()):
            if not bool(boxes.isfinite().all()):
                raise FloatingPointError(f"{name} boxes are not finite")
            raise ValueError(f"{name} boxes must be xyxy with x1 <= x2 and y1 <= y2")
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    intersection = inner[..., 0] * inner[..., 1]
    union = area(a) + area(b) - intersection
    outer = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0)
    hull = outer[..., 0] * outer[..., 1]
    return intersection / union - (hull - union) / hull

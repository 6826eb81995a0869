"""The box of a relation: two of its corners are the centres of subject and object."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-6
"""Side of the image above which a box has an extent. The published 1e-5 pixels are below the precision of
normalised coordinates."""


def relation_boxes(subjects: Tensor, objects: Tensor) -> Tensor:
    """Boxes n x 4 of pairs of boxes, all cxcywh in [0, 1]; the subject's where the centres' is flat.

    `SMALLEST` takes the place of a number of pixels, as image sizes are not known here.
    """
    centre = (subjects[:, :2] + objects[:, :2]) / 2
    size = (subjects[:, :2] - objects[:, :2]).abs()
    flat = (size <= SMALLEST).any(1, keepdim=True)
    return torch.where(flat, subjects, torch.cat([centre, size], 1))

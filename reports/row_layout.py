"""A plot of how a classifier's rows lie: their two main directions, a colour per object class."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

SIDE, MARGIN = 1400, 110


def draw_layout(path: Path, rows: Tensor, interactions: Sequence[tuple[str, str]]) -> float:
    """Write a PNG.

    Args:
        rows: C x width.
        interactions: (verb, object) of every row; the verb is written beside its point.

    Returns:
        The share of the rows' variance that the two directions show.
    """
    centred = rows.double() - rows.double().mean(0)
    _, values, directions = torch.linalg.svd(centred, full_matrices=False)
    places = centred @ directions[:2].T
    if places.shape[1] < 2:  # a single row has no second direction
        places = torch.nn.functional.pad(places, (0, 2 - places.shape[1]))
    low, high = places.amin(0), places.amax(0)
    places = (places - low) / (high - low).clamp_min(1e-9) * (SIDE - 2 * MARGIN) + MARGIN
    objects = sorted({object_ for _, object_ in interactions})
    colour = {name: _colour(number / len(objects)) for number, name in enumerate(objects)}
    image = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(image)
    for (x, y), (verb, object_) in zip(places.tolist(), interactions, strict=True):
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour[object_])
        pen.text((x + 6, y - 6), f"{verb} {object_}", fill=colour[object_])
    image.save(path)
    return float((values[:2] ** 2).sum() / (values**2).sum().clamp_min(1e-12))


def _colour(hue: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.65)
    return round(255 * red), round(255 * green), round(255 * blue)

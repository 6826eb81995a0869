"""What a training batch shows of an image: mirrored or not, its colours changed, cropped, resized.

Published fine-tuning (DETR's transforms, in QPIC, CDN and RLIPv2): mirror half of the images, change colours,
then either resize to a drawn shorter side, or resize to a smaller one, crop, and resize that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from relforge.data.colour_jitter import ColourJitter
from relforge.data.hoi import NO_OBJECT
from relforge.data.relations import Example
from relforge.images.detection_resize import DetectionResize

_NO_LIMIT = 2**31


@dataclass(frozen=True)
class Crop:
    """A part of an image.

    Args:
        short_side: the image is resized to this shorter side before it is cropped, pixels.
        top, left, height, width: of the part, pixels of the resized image.
    """

    short_side: int
    top: int
    left: int
    height: int
    width: int

    @property
    def resize(self) -> DetectionResize:
        """What happens before: the longer side has no limit."""
        return DetectionResize(self.short_side, _NO_LIMIT)


@dataclass(frozen=True)
class View:
    """One drawn view; steps in this order.

    Args:
        short_side, long_side: of the result, see `DetectionResize`.
        mirror: exchange left and right.
        jitter: change of colours.
        crop: the part that is shown, of the mirrored image; None: all of it.
    """

    short_side: int = 800
    long_side: int = 1333
    mirror: bool = False
    jitter: ColourJitter | None = None
    crop: Crop | None = None

    def render(self, pixels: NDArray[np.uint8]) -> Tensor:
        """H x W x 3 uint8 -> 3 x height x width uint8."""
        if self.mirror:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        if self.jitter is not None:
            pixels = self.jitter(pixels)
        if self.crop is not None:
            crop = self.crop
            resized = crop.resize(pixels)[:, crop.top : crop.top + crop.height]
            part = resized[:, :, crop.left : crop.left + crop.width].permute(1, 2, 0)
            pixels = np.ascontiguousarray(part.numpy())
        return DetectionResize(self.short_side, self.long_side)(pixels)

    def annotate(self, example: Example) -> Example:
        """The annotation of what is shown, in pixels before the last resize.

        A box that the crop cuts becomes its part within, however little that is; a box without a part within
        goes, and so do its pairs.
        """
        boxes = example.boxes
        if self.mirror:
            boxes = boxes.copy()
            boxes[:, 0] = example.size[0] - boxes[:, 0] - boxes[:, 2]
        if self.crop is None:
            return replace(example, boxes=boxes)
        width, height = example.size
        crop = self.crop
        rows, columns = crop.resize.size(height, width)
        scale = np.array([columns / width, rows / height])
        offset = np.array([crop.left, crop.top])
        low = boxes[:, :2] * scale - offset
        high = (boxes[:, :2] + boxes[:, 2:]) * scale - offset
        low, high = (np.clip(corner, 0, [crop.width, crop.height]) for corner in (low, high))
        shown = (high > low).all(1)
        inside = replace(
            example,
            size=(crop.width, crop.height),
            boxes=np.concatenate([low, high - low], 1)[shown].astype(example.boxes.dtype),
            categories=example.categories[shown],
        )
        return _keep_pairs(inside, shown)


def draw_crop(
    rng: np.random.Generator, size: tuple[int, int], short_sides: Sequence[int], sides: Sequence[int]
) -> Crop:
    """A crop of an image.

    Args:
        size: (width, height) of the image, pixels.
        short_sides: shorter sides to resize to before, one is drawn.
        sides: least and greatest width and height of a crop; none is greater than the resized image.
    """
    width, height = size
    short_side = int(rng.choice(short_sides))
    rows, columns = DetectionResize(short_side, _NO_LIMIT).size(height, width)
    wide, high = (int(rng.integers(sides[0], min(side, sides[1]) + 1)) for side in (columns, rows))
    top, left = int(rng.integers(0, rows - high + 1)), int(rng.integers(0, columns - wide + 1))
    return Crop(short_side, top, left, high, wide)


def _keep_pairs(example: Example, shown: np.ndarray) -> Example:
    """The example without pairs of boxes that are not shown; `pairs` still has the old rows."""
    place = np.append(np.where(shown, np.cumsum(shown) - 1, len(shown)), NO_OBJECT)  # the last is NO_OBJECT's
    pairs = place[example.pairs.reshape(-1, 2)]
    kept = (pairs < len(shown)).all(1)
    predicates = [codes for codes, keep in zip(example.predicates, kept, strict=True) if keep]
    return replace(example, pairs=pairs[kept], predicates=predicates)

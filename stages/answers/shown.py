"""Images as stages that ask read them: pixels, annotated size, and the hash that stands for the file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relforge.images import ImageError, decode_as_annotated, read
from relforge.images.prefetch import prefetch
from relforge.vlm.client import View
from relforge.vlm.frame import XYWH, Frame
from relforge.vlm.view import draw_view


@dataclass(frozen=True)
class Looks:
    """How images are read and shown.

    Args:
        view, margin, pixels: see `vlm.view.draw_view`.
        coordinates: see `vlm.frame`.
        threads: image decoders.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.
    """

    view: str
    margin: float
    pixels: int
    coordinates: str
    threads: int
    orientation: str | None
    max_pixels: int


@dataclass(frozen=True)
class Shown:
    """A decoded image.

    Args:
        size: annotated width and height, the unit of its boxes.
        pixels: H x W x 3 uint8.
        source_hash: sha256 of the file.
        unsettled: see `images.Decoded`.
    """

    size: tuple[int, int]
    pixels: NDArray[np.uint8]
    source_hash: str
    unsettled: bool

    def draw(
        self, looks: Looks, boxes: Mapping[int, XYWH], others: Sequence[XYWH] = (), view: str | None = None
    ) -> tuple[View, Frame]:
        """The image as it is shown for these boxes; `view` is one other than that of the options."""
        return draw_view(
            self.pixels,
            self.size,
            boxes,
            self.source_hash,
            view=view or looks.view,
            margin=looks.margin,
            longest=looks.pixels,
            others=others,
            orientation=looks.orientation,
        )


def read_shown(images: pa.Table, looks: Looks) -> Iterator[tuple[str, Shown | ImageError]]:
    """The images of a table, in its order, few of them decoded ahead."""

    def prepare(uri: str | None, embedded: bytes | None, width: int, height: int) -> Shown:
        data = read(uri, embedded)
        decoded = decode_as_annotated(data, (width, height), looks.max_pixels, looks.orientation)
        return Shown((width, height), decoded.pixels, hashlib.sha256(data).hexdigest(), decoded.unsettled)

    return prefetch(images, ("uri", "bytes", "width", "height"), prepare, looks.threads)


def check_looks(looks: Looks) -> None:
    """Refuse impossible options when a stage is built.

    Raises:
        ValueError: naming the option and what it may be.
    """
    from relforge.images import check_max_pixels, check_orientation
    from relforge.vlm.frame import COORDINATES
    from relforge.vlm.view import check_view

    check_view(looks.view)
    check_orientation(looks.orientation)
    check_max_pixels(looks.max_pixels)
    if looks.coordinates not in COORDINATES:
        raise ValueError(f"coordinates is {looks.coordinates!r}; choose one of {', '.join(COORDINATES)}")
    if not 0 <= looks.margin <= 10:
        raise ValueError(f"margin is {looks.margin}; it is a share of the boxes' rectangle, such as 0.15")
    if looks.pixels < 8:
        raise ValueError(f"pixels is {looks.pixels}; use 8 or more")

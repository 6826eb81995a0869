"""The pictures a tagger asks about, decoded and resized in threads while the model works on earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relforge.images import ImageError, decode, read
from relforge.images.prefetch import ahead

T = TypeVar("T")


def prepared(
    images: pa.Table, prepare: Callable[[NDArray[np.uint8]], T], threads: int = 2
) -> Iterator[tuple[str, T | ImageError]]:
    """Every picture of `images`, in table order, read, decoded and passed through `prepare`.

    A picture whose shape is not the annotated one (width and height of the row) is refused with
    `size_mismatch`: its boxes would point elsewhere.

    Args:
        images: rows of the `images` table.
        prepare: what to make of the pixels, in the decoding thread.
        threads: decoders at work; each holds a picture ahead or two.

    Yields:
        (image_id, what `prepare` made, or why there is no picture).
    """

    def one(uri: str | None, data: bytes | None, width: int, height: int) -> T:
        return prepare(_as_annotated(read(uri, data), (width, height)))

    return ahead(images, ("uri", "bytes", "width", "height"), one, threads)


def _as_annotated(data: bytes, annotated: tuple[int, int]) -> NDArray[np.uint8]:
    pixels = decode(data, annotated)
    height, width = pixels.shape[:2]
    # a picture stored at another scale keeps its boxes in place; one of another shape does not
    if abs(width * annotated[1] - height * annotated[0]) > max(width, height, *annotated):
        detail = f"the picture is {width} x {height}, its annotation says {annotated[0]} x {annotated[1]}"
        raise ImageError("size_mismatch", detail)
    return pixels

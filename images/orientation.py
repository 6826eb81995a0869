"""Which way up an image is: what its file has, and whether boxes were written for the stored pixels."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATIONS = ("stored", "upright")
"""What boxes may be written for: the pixels as the file stores them, or as a viewer shows them."""

ORIENTATION_TAG = 0x0112
"""Of EXIF and TIFF; values as in EXIF 2.3, 4.6.4: 1 is upright, 2 to 8 are turned or mirrored."""

_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")


class Choice(NamedTuple):
    """Args:
    turn: whether the stored pixels are turned upright.
    unsettled: the file has a turn, and neither an option nor the sizes decide whether the boxes follow.
    """

    turn: bool
    unsettled: bool


def check_orientation(orientation: str | None) -> None:
    """Raises:
    ValueError: neither None nor one of `ORIENTATIONS`.
    """
    if orientation is not None and orientation not in ORIENTATIONS:
        raise ValueError(
            f"orientation is {orientation!r}; choose {' or '.join(ORIENTATIONS)}, or leave it out"
        )


def read_orientation(image: Image.Image) -> int:
    """What an opened file has: the tag of EXIF (or TIFF), else of XMP, else 1.

    A tag outside 1 to 8 and metadata that cannot be read are ignored.
    """
    try:
        value = image.getexif().get(ORIENTATION_TAG)
    except Exception:  # Pillow's EXIF reader raises many types on malformed bytes
        value = None
    if isinstance(value, int) and 1 <= value <= 8:
        return value
    for key in ("XML:com.adobe.xmp", "xmp"):
        packet = image.info.get(key, b"")
        found = _XMP.search(packet.encode(errors="replace") if isinstance(packet, str) else packet)
        if found:
            return int(found[1])
    return 1


def choose_turn(
    stored: tuple[int, int], value: int, annotated: tuple[int, int] | None, orientation: str | None
) -> Choice:
    """Whether an image is turned upright.

    Args:
        stored: (width, height) of the stored pixels.
        value: of the file's tag, 1 to 8.
        annotated: (width, height) that the boxes are written for; None: there are no boxes, and an image
            without boxes is upright.
        orientation: what boxes were written for; None: where the stored image has the annotated size and the
            upright one has not, for the stored pixels, else for the upright ones.
    """
    if value == 1 or annotated is None:
        return Choice(value != 1, False)
    if orientation is not None:
        return Choice(orientation == "upright", False)
    upright = stored[::-1] if value >= 5 else stored
    if upright == stored:  # 180 degrees, a mirror, or a square: both ways have one size
        return Choice(True, True)
    return Choice(annotated != stored, False)


def turn_upright(pixels: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """H x W x 3 stored pixels -> upright ones, by the value of the file's tag."""
    if value >= 5:  # rows are the upright image's columns
        pixels = pixels.swapaxes(0, 1)
    if value in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if value in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def turn_back(pixels: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """The reverse of `turn_upright`."""
    return turn_upright(pixels, {6: 8, 8: 6}.get(value, value))

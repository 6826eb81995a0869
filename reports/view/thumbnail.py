"""An image as a JPEG, small enough for a page of hundreds."""

from __future__ import annotations

import base64
import io

from PIL import Image

from relforge.images.decode import MAX_PIXELS, decode_as_annotated
from relforge.images.error import ImageError
from relforge.images.read import read

LONGER_SIDE = 640
"""Pixels."""
_QUALITY = 82


def encode_thumbnail(
    uri: str | None,
    embedded: bytes | None,
    annotated: tuple[int, int],
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
) -> tuple[str | None, str]:
    """`encode_image` of at most 640 pixels a side, as a data URI."""
    packed, reason = encode_image(uri, embedded, annotated, max_pixels, orientation)
    return (None, reason) if packed is None else (as_data_uri(packed), "")


def as_data_uri(packed: bytes) -> str:
    """A JPEG as text."""
    return "data:image/jpeg;base64," + base64.b64encode(packed).decode("ascii")


def encode_image(
    uri: str | None,
    embedded: bytes | None,
    annotated: tuple[int, int],
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
    longer_side: int = LONGER_SIDE,
) -> tuple[bytes | None, str]:
    """A JPEG.

    Args:
        uri, embedded: of the image, as in the `images` table.
        annotated: (width, height) in pixels that the boxes are written for.
        max_pixels, orientation: of the dataset, see `images.decode_oriented`.
        longer_side: largest number of pixels of a side.

    Returns:
        the JPEG and an empty text, or None and the reason why the image cannot be shown. Nothing raises: a
        page about labels is useful without the pixels.
    """
    image, reason = shrink_image(uri, embedded, annotated, max_pixels, orientation, longer_side)
    if image is None:
        return None, reason
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=_QUALITY, optimize=True)
    return packed.getvalue(), ""


def shrink_image(
    uri: str | None,
    embedded: bytes | None,
    annotated: tuple[int, int],
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
    longer_side: int = LONGER_SIDE,
) -> tuple[Image.Image | None, str]:
    """The image of `encode_image` before it is one, or None and the reason."""
    try:
        decoded = decode_as_annotated(read(uri, embedded), annotated, max_pixels, orientation)
    except ImageError as error:
        return None, str(error)
    except Exception as error:  # a remote store raises exceptions of its own
        return None, f"{uri or 'the image'} cannot be read: {error}"
    image = Image.fromarray(decoded.pixels)
    image.thumbnail((longer_side, longer_side), Image.Resampling.LANCZOS)
    return image, ""

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
    """`shrink_image` to at most 640 pixels a side, as a data URI."""
    image, reason = shrink_image(uri, embedded, annotated, max_pixels, orientation)
    return (None, reason) if image is None else (as_data_uri(pack_image(image)), "")


def as_data_uri(packed: bytes) -> str:
    """A JPEG as text."""
    return "data:image/jpeg;base64," + base64.b64encode(packed).decode("ascii")


def pack_image(image: Image.Image) -> bytes:
    """A JPEG of it."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=_QUALITY, optimize=True)
    return packed.getvalue()


def shrink_image(
    uri: str | None,
    embedded: bytes | None,
    annotated: tuple[int, int],
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
    longer_side: int = LONGER_SIDE,
) -> tuple[Image.Image | None, str]:
    """An image small enough for a page.

    Args:
        uri, embedded: of the image, as in the `images` table.
        annotated: (width, height) in pixels that the boxes are written for.
        max_pixels, orientation: of the dataset, see `images.decode_oriented`.
        longer_side: largest number of pixels of a side.

    Returns:
        the image and an empty text, or None and the reason why it cannot be shown. Nothing raises: a page
        about labels is useful without the pixels.
    """
    try:
        decoded = decode_as_annotated(read(uri, embedded), annotated, max_pixels, orientation)
    except ImageError as error:
        return None, str(error)
    except Exception as error:  # a remote store raises exceptions of its own
        return None, f"{uri or 'the image'} cannot be read: {error}"
    image = Image.fromarray(decoded.pixels)
    image.thumbnail((longer_side, longer_side), Image.Resampling.LANCZOS)
    return image, ""

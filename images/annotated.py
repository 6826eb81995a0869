"""An image with boxes: its pixels must be those that the boxes were drawn on."""

from __future__ import annotations

from relforge.images.decode import MAX_PIXELS, Decoded, decode_oriented
from relforge.images.error import ImageError


def decode_as_annotated(
    data: bytes,
    annotated: tuple[int, int],
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
) -> Decoded:
    """Decode an image whose annotation has its (width, height) in pixels; see `decode_oriented`.

    Raises:
        ImageError: it cannot be decoded, or has another shape (`size_mismatch`): its boxes would point
            elsewhere. One stored at another scale keeps its boxes in place.
    """
    decoded = decode_oriented(data, annotated, max_pixels, orientation)
    (height, width), (wide, high) = decoded.pixels.shape[:2], annotated
    if abs(width * high - height * wide) > max(width, height, wide, high):
        raise ImageError(
            "size_mismatch", f"the image is {width} x {height}, its annotation says {wide} x {high}"
        )
    return decoded

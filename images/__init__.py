"""Images: read the encoded bytes, decode them to RGB, resize them. `relforge.images.resize` and
`relforge.images.detection_resize` are apart because what they return is torch's."""

from relforge.images.decode import (
    MAX_PIXELS,
    Decoded,
    check_max_pixels,
    decode,
    decode_as_annotated,
    decode_oriented,
)
from relforge.images.error import ImageError
from relforge.images.orientation import check_orientation
from relforge.images.read import read
from relforge.images.size import read_size

__all__ = [
    "MAX_PIXELS",
    "Decoded",
    "ImageError",
    "check_max_pixels",
    "check_orientation",
    "decode",
    "decode_as_annotated",
    "decode_oriented",
    "read",
    "read_size",
]

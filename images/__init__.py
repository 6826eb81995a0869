"""Images: read the encoded bytes, decode them to RGB, resize them. `relforge.images.resize` and
`relforge.images.detection_resize` are apart because they import torch."""

from relforge.images.decode import MAX_PIXELS, decode
from relforge.images.error import ImageError
from relforge.images.read import read

__all__ = ["MAX_PIXELS", "ImageError", "decode", "read"]

"""Pictures: read the encoded bytes, decode them to RGB, resize them (`relforge.images.resize`,
apart because it needs torch)."""

from relforge.images.decode import MAX_PIXELS, decode
from relforge.images.error import ImageError
from relforge.images.read import read

__all__ = ["MAX_PIXELS", "ImageError", "decode", "read"]

"""Pictures: read the encoded bytes, decode them to RGB, resize them (`relforge.stages.pictures.resize`,
apart because it needs torch)."""

from relforge.stages.pictures.decode import MAX_PIXELS, decode
from relforge.stages.pictures.error import PictureError
from relforge.stages.pictures.read import read

__all__ = ["MAX_PIXELS", "PictureError", "decode", "read"]

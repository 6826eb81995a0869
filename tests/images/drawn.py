"""Encoded images that tests draw, and where JPEG files carry an orientation."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 32
ATTRIBUTE = b'<rdf:Description tiff:Orientation="%d"/>'
ELEMENT = b"<tiff:Orientation>%d</tiff:Orientation>"


def gradient(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth colours, so that JPEG changes little: red grows rightwards, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=2)
    return Image.fromarray(rgb.astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    """An EXIF block with the tag alone."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def tagged_jpeg(kind: str, orientation: int, image: Image.Image | None = None) -> bytes:
    """A JPEG whose orientation is in EXIF at the front (`near`), behind 130 KB of other segments (`far`), or
    in XMP alone (`attribute`, `element`)."""
    plain = encoded(image or gradient(), "JPEG", quality=95)
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    metadata = {
        "near": segment(0xE1, exif(orientation)),
        "far": 2 * segment(0xE2, b"padding\0" * 8190) + segment(0xE1, exif(orientation)),
        "attribute": segment(0xE1, xmp + ATTRIBUTE % orientation),
        "element": segment(0xE1, xmp + ELEMENT % orientation),
    }
    return plain[:2] + metadata[kind] + plain[2:]


def postscript() -> bytes:
    """A PostScript page with a bounding box, as Ghostscript draws it."""
    lines = (
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"%%BoundingBox: 0 0 48 32",
        b"%%EndComments",
        b"0 0 48 32 rectfill showpage",
        b"%%EOF",
    )
    return b"\n".join(lines) + b"\n"


def claiming(width: int, height: int, form: str) -> bytes:
    """A small file whose header has another size than its pixels have."""
    data = bytearray(encoded(gradient(), form))
    if form == "PNG":
        header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    elif form == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    else:
        raise ValueError(form)
    return bytes(data)

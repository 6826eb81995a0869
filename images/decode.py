"""Encoded bytes to 8-bit RGB, by content, not by the file's name."""

from __future__ import annotations

import functools
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from relforge.images.error import ImageError
from relforge.images.orientation import (
    ORIENTATION_TAG,
    choose_turn,
    read_orientation,
    turn_back,
    turn_upright,
)

try:
    import simplejpeg
except ImportError:  # optional: Pillow decodes the same pixels more slowly
    simplejpeg = None

MAX_PIXELS = 89_478_485
"""Pixels above which an image is refused before any is decoded (Pillow's own limit: 256 MiB of RGB)."""

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM")
"""What is read, by content. Pillow reads more; some of those start other programs on the image's bytes
(Ghostscript for PostScript) or have no mark to recognise them by."""

_FILTERS = threading.Lock()  # Python's list of filters is one for all threads


class Decoded(NamedTuple):
    """Args:
    pixels: H x W x 3 array of uint8, row-major.
    unsettled: see `orientation.Choice`.
    """

    pixels: NDArray[np.uint8]
    unsettled: bool


def decode(
    data: bytes,
    annotated: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
) -> NDArray[np.uint8]:
    """The pixels of `decode_oriented`."""
    return decode_oriented(data, annotated, max_pixels, orientation).pixels


def decode_oriented(
    data: bytes,
    annotated: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    orientation: str | None = None,
) -> Decoded:
    """Decode an image to RGB, turned as the boxes are.

    Pillow reads the header: format, size and orientation. The pixels of plain JPEGs come from libjpeg-turbo
    directly, all others from Pillow; both give the same. CMYK, palette and grey images become RGB, 16-bit
    ones keep their high byte, transparency is dropped, animations give their first frame.

    Args:
        data: the encoded file.
        annotated: (width, height) of the annotation, in pixels; None for an image without boxes.
        max_pixels: refuse images with more, before any pixel is decoded. Decoding takes
            3 (JPEG), 10 to 14 (PNG, TIFF) or 20 bytes a pixel (WebP, JPEG 2000).
        orientation: what boxes were written for, `stored` or `upright` pixels; None: as the sizes decide
            (`orientation.choose_turn`).

    Raises:
        ImageError: `empty_file`, `not_an_image`, `truncated`, `undecodable`, `unsupported_pixels` or
            `too_large`.
    """
    if not data:
        raise ImageError("empty_file", "the image has zero bytes")
    with _explained():
        return _decode(data, annotated, max_pixels, orientation)


def open_header(file: BinaryIO) -> Image.Image:
    """The image in an opened file, of which only the header is read.

    Raises:
        ImageError: `not_an_image`, `truncated`, `undecodable` or `too_large`.
    """
    with _explained(), _quiet():
        found: Image.Image = Image.open(file, formats=_formats())
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """What Pillow raises as an `ImageError`."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        detail = f"no image of a format that is read ({', '.join(FORMATS)})"
        raise ImageError("not_an_image", detail) from error
    except Image.DecompressionBombError as error:
        raise ImageError("too_large", str(error)) from error
    except Exception as error:  # Pillow's plugins raise many types on malformed bytes
        reason = "truncated" if "truncated" in str(error) else "undecodable"
        raise ImageError(reason, f"{type(error).__name__}: {error}") from error


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


def _decode(
    data: bytes, annotated: tuple[int, int] | None, max_pixels: int, orientation: str | None
) -> Decoded:
    with _quiet():
        image: Image.Image = Image.open(io.BytesIO(data), formats=_formats())
    _check_size(*image.size, max_pixels)
    pixels = _turbo(data, image)
    if pixels is not None:
        value, is_upright = _read_orientation(image), False
    else:
        pixels, value, is_upright = _pillow(image)
    height, width = pixels.shape[:2]
    stored = (height, width) if is_upright and value >= 5 else (width, height)
    turn, unsettled = choose_turn(stored, value, annotated, orientation)
    if turn != is_upright:
        pixels = turn_upright(pixels, value) if turn else turn_back(pixels, value)
    return Decoded(pixels, unsettled)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings: the size is checked here, and broken metadata is no fault."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_orientation(image: Image.Image) -> int:
    with _quiet():
        return read_orientation(image)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _turbo(data: bytes, image: Image.Image) -> NDArray[np.uint8] | None:
    """Stored pixels of a plain JPEG, or None where Pillow must decode it (CMYK, or a damaged file)."""
    if simplejpeg is None or image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB"):
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError:
        return None
    return pixels if pixels.shape[1::-1] == image.size else None


def _pillow(image: Image.Image) -> tuple[NDArray[np.uint8], int, bool]:
    """Pixels, the file's orientation, and whether Pillow has turned the pixels by it already (TIFF)."""
    is_tiff = image.format == "TIFF"
    value = _read_orientation(image) if is_tiff else 1
    tagged = is_tiff and ORIENTATION_TAG in image.getexif()
    image.load()  # a truncated file fails here, and a PNG's metadata may follow its pixels
    if not is_tiff:
        value = _read_orientation(image)
    is_upright = tagged and value != 1 and ORIENTATION_TAG not in image.getexif()
    return _to_rgb(image), value, is_upright


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise ImageError("unsupported_pixels", "floating-point pixels have no defined white")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        grey = np.asarray(image)
        if grey.max(initial=0) > 0xFFFF or grey.min(initial=0) < 0:
            raise ImageError("unsupported_pixels", "32-bit grey pixels outside 0..65535")
        return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # converting RGB copies it


def check_max_pixels(max_pixels: int) -> None:
    """Raises:
    ValueError: not a number of pixels, or more than Pillow ever opens.
    """
    if not 1 <= max_pixels <= 2 * MAX_PIXELS:
        raise ValueError(f"max_pixels is {max_pixels}; choose 1 to {2 * MAX_PIXELS}")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError("too_large", f"{width} x {height} pixels; the limit is {max_pixels} in all")

"""Encoded bytes to upright 8-bit RGB, by content, not by the file's name."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from relforge.images.error import ImageError

try:
    import simplejpeg
except ImportError:  # optional: Pillow decodes the same pixels more slowly
    simplejpeg = None

MAX_PIXELS = 89_478_485
"""Pixels above which an image is refused unread (Pillow's own limit: 256 MiB of RGB)."""

_ORIENTATION = 0x0112  # EXIF tag


def decode(
    data: bytes, annotated: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode an image to upright RGB.

    Plain JPEGs go through libjpeg-turbo directly, everything else through Pillow; both give the same
    pixels. EXIF orientation is applied. CMYK, palette and grey images become RGB, 16-bit ones keep
    their high byte, transparency is dropped, animations give their first frame.

    Args:
        data: the encoded file.
        annotated: (width, height) of the annotation, in pixels. Where only the stored image has that size,
            not the upright one, the boxes were drawn on the unrotated image, and it stays unrotated.
        max_pixels: refuse images with more, before any pixel is decoded.

    Returns:
        H x W x 3 array of uint8, row-major.

    Raises:
        ImageError: `empty_file`, `not_an_image`, `truncated`, `undecodable`, `unsupported_pixels` or
            `too_large`.
    """
    if not data:
        raise ImageError("empty_file", "the image has zero bytes")
    if simplejpeg is not None and data[:3] == b"\xff\xd8\xff" and b"Exif\0" not in data[:65536]:
        pixels = _turbo(data, max_pixels)
        if pixels is not None:
            return pixels
    try:
        return _pillow(data, annotated, max_pixels)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise ImageError("not_an_image", f"no known image format ({len(data)} bytes)") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too_large", str(error)) from error
    except Exception as error:  # Pillow's plugins raise many types on malformed bytes
        reason = "truncated" if "truncated" in str(error) else "undecodable"
        raise ImageError(reason, f"{type(error).__name__}: {error}") from error


def _turbo(data: bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    """Pixels of a plain JPEG, or None where Pillow must decode it (CMYK, or a damaged file)."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space not in ("YCbCr", "Gray", "RGB"):
            return None
        _check_size(width, height, max_pixels)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB")
        return pixels
    except ValueError:
        return None


def _pillow(data: bytes, annotated: tuple[int, int] | None, max_pixels: int) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its size and metadata warnings: the size is checked here
        image: Image.Image = Image.open(io.BytesIO(data))
    _check_size(*image.size, max_pixels)
    stored = image.size
    # load before exif_transpose: a truncated file must fail, not come back half grey
    image.load()
    if image.getexif().get(_ORIENTATION, 1) != 1:
        upright = ImageOps.exif_transpose(image)
        if annotated is None or upright.size == annotated or stored != annotated:
            image = upright
    return _to_rgb(image)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise ImageError("unsupported_pixels", "floating-point pixels have no defined white")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        grey = np.asarray(image).astype(np.int64)
        if grey.max(initial=0) > 0xFFFF or grey.min(initial=0) < 0:
            raise ImageError("unsupported_pixels", "32-bit grey pixels outside 0..65535")
        return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError("too_large", f"{width} x {height} pixels; the limit is {max_pixels} in all")

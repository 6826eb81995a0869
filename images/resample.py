"""Pillow's 8-bit resampling, value for value: by the native library (csrc/), else by Pillow itself."""

from __future__ import annotations

import ctypes
import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relforge.kernels.native import loading
from relforge.kernels.native.build import RESIZE

_FILTER_CODES = {"bilinear": 0, "bicubic": 1}  # `Filter` of csrc/weights.h
_PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resample(
    pixels: NDArray[np.uint8],
    height: int,
    width: int,
    filter: Literal["bilinear", "bicubic"],
    *,
    vertical_first: bool,
) -> NDArray[np.uint8]:
    """Resize in one pass along each axis whose length changes, rounded and clipped to 8 bits after each.

    Weights are those of Pillow's Resample.c: shrinking widens the filter; weights have 22 fractional bits.
    Thread-safe.

    Args:
        pixels: H x W x 3 uint8.
        vertical_first: change the number of rows before that of columns.

    Returns:
        height x width x 3, a new array.

    Raises:
        ValueError: another shape or dtype of `pixels`, or a side shorter than one pixel.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"pixels to resize are H x W x 3 uint8, not {pixels.shape} {pixels.dtype}")
    if min(height, width) < 1:
        raise ValueError(f"cannot resize to {height} x {width}: each side needs one pixel at least")
    try:
        library = _library()
    except loading.LibraryUnavailable:
        return _by_pillow(pixels, height, width, filter, vertical_first)
    pixels = np.ascontiguousarray(pixels)
    resized = np.empty((height, width, 3), np.uint8)
    sizes = (*pixels.shape[:2], resized.ctypes.data, height, width)
    if library.rf_resize(pixels.ctypes.data, *sizes, _FILTER_CODES[filter], vertical_first):
        raise MemoryError(f"no memory to resize {pixels.shape[0]} x {pixels.shape[1]} to {height} x {width}")
    return resized


@functools.cache
def _library() -> ctypes.CDLL:
    library = loading.load(RESIZE)
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.rf_resize.argtypes = [pointer, size, size, pointer, size, size, ctypes.c_int32, ctypes.c_int32]
    return library


def _by_pillow(
    pixels: NDArray[np.uint8], height: int, width: int, filter: str, vertical_first: bool
) -> NDArray[np.uint8]:
    # one axis at a time: which comes first in a single call depends on Pillow's version
    between = (pixels.shape[1], height) if vertical_first else (width, pixels.shape[0])
    image = Image.fromarray(pixels)
    for size in (between, (width, height)):
        image = image.resize(size, _PILLOW_FILTERS[filter])
    return np.array(image)

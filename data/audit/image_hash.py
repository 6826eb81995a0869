"""What tells whether two image files show the same image: their bytes, and hashes of what is seen.

The perceptual hash is `imagehash.phash`: signs of the low frequencies of a small grey image, 256 bits here.
It survives re-encoding and resizing. Mirroring and cropping change it, so a benchmark's image also has
hashes of its mirror image and of both without a strip of `STRIP` at their edges.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relforge.images import decode, read

SIDE = 16
STRIP = 0.05
"""Of a side: what is cut off on an edge, or half of it on both."""

Bits = NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprint:
    """Args:
    digest: SHA-256 of the file.
    hashes: V x 4 uint64: of the image; of a benchmark's also of its mirror image, then of both cropped.
    """

    digest: str
    hashes: Bits


def fingerprint(uri: str | None, embedded: bytes | None = None, *, all_views: bool = False) -> Fingerprint:
    """Of one image.

    Args:
        all_views: mirrored and cropped too.

    Raises:
        ImageError: it cannot be read or decoded.
        ModuleNotFoundError: the extra `audit` is not installed.
    """
    data = read(uri, embedded)
    image = Image.fromarray(decode(data)).convert("L")
    views = [image]
    if all_views:
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        windows = _windows(image.size)
        views += [mirrored, *(one.crop(window) for one in (image, mirrored) for window in windows)]
    return Fingerprint(hashlib.sha256(data).hexdigest(), np.stack([perceptual_hash(view) for view in views]))


def perceptual_hash(image: Image.Image) -> Bits:
    """4 uint64 of a grey image."""
    import imagehash

    bits = imagehash.phash(image, hash_size=SIDE).hash
    return np.packbits(bits.ravel()).view(np.uint64)


def _windows(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Left, upper, right and lower edge: a strip off one edge, off two that meet, off all, half of it off
    all."""
    width, height = size
    x, y = max(1, round(STRIP * width)), max(1, round(STRIP * height))
    sides = [(0, width), (x, width), (0, width - x)]
    rows = [(0, height), (y, height), (0, height - y)]
    found = [(left, upper, right, lower) for left, right in sides for upper, lower in rows][1:]
    found += [(x, y, width - x, height - y), (x // 2, y // 2, width - x // 2, height - y // 2)]
    return [one if one[2] > one[0] and one[3] > one[1] else (0, 0, width, height) for one in found]

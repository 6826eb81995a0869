"""Pairs of images with near perceptual hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relforge.data.audit.image_hash import Bits

SAME, MIRRORED, CUT = "same image", "mirrored", "cropped"
_BLOCK = 2048
_FAR = 112
"""Bits in which two images differ at most that are compared without their edges. Unrelated ones differ in
128 on average; a twentieth cut off each edge changes about 100 at most (drawn world, 400 images)."""


@dataclass(frozen=True)
class Near:
    """A pair of images.

    Args:
        ours, theirs: rows.
        bits: in which the hashes differ.
        how: `same image`, `mirrored` or `cropped` (mirrored or not).
    """

    ours: int
    theirs: int
    bits: int
    how: str


def near_pairs(ours: Bits, plain: Bits, mirrored: Bits, cut: Bits, bound: int) -> Iterator[Near]:
    """All pairs within the bound, a block at a time.

    Args:
        ours: N x 4, hashes of images as they are.
        plain, mirrored: M x 4, of the other images and of their mirror images.
        cut: M x V x 4, of both without their edges.
    """
    for start in range(0, len(ours), _BLOCK):
        for other in range(0, len(plain), _BLOCK):
            block = slice(start, start + _BLOCK), slice(other, other + _BLOCK)
            straight = _distances(ours[block[0]], plain[block[1]])
            turned = _distances(ours[block[0]], mirrored[block[1]])
            rows, columns = np.nonzero(np.minimum(straight, turned) <= max(bound, _FAR))
            for part in range(0, len(rows), _BLOCK):
                row, column = rows[part : part + _BLOCK], columns[part : part + _BLOCK]
                found = np.stack(
                    [
                        straight[row, column],
                        turned[row, column],
                        np.bitwise_count(ours[start + row, None] ^ cut[other + column]).sum(2).min(1),
                    ],
                    1,
                )
                for place in np.flatnonzero(found.min(1) <= bound).tolist():
                    how = int(found[place].argmin())
                    yield Near(
                        start + int(row[place]),
                        other + int(column[place]),
                        int(found[place, how]),
                        (SAME, MIRRORED, CUT)[how],
                    )


def _distances(ours: Bits, theirs: Bits) -> NDArray[np.uint16]:
    """N x M numbers of bits in which hashes differ."""
    total = np.zeros((len(ours), len(theirs)), np.uint16)
    for word in range(ours.shape[1]):
        total += np.bitwise_count(ours[:, word, None] ^ theirs[None, :, word])
    return total

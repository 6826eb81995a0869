"""Which images a page shows, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence


def choose(images: Sequence[str], informative: Collection[str], count: int) -> list[str]:
    """A fair sample, the same every time, in reading order.

    Images are drawn by a hash of their id, so that the page neither favours easy images nor changes from
    one call to the next, and a larger sample contains the smaller one.

    Args:
        images: ids to draw from.
        informative: ids with something to show (relations or gold); the others come only when these run out.
        count: how many to take.
    """
    if count >= len(images):
        return sorted(images, key=reading_order)
    told = set(informative)
    drawn = sorted(images, key=lambda one: (one not in told, hashlib.sha256(one.encode()).digest()))
    return sorted(drawn[:count], key=reading_order)


def reading_order(image_id: str) -> tuple[int, int, str]:
    """Sort key: numbers by value, before everything else by letters: 2, 10, a."""
    plain = image_id.isascii() and image_id.isdigit()
    return (0, int(image_id), image_id) if plain else (1, 0, image_id)

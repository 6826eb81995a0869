"""Which pictures go on the page."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence


def choose(images: Sequence[str], telling: Collection[str], most: int) -> list[str]:
    """A fair sample, the same every time, in reading order.

    Images are drawn by a hash of their id, so that the page neither favours easy pictures nor changes from
    one look to the next, and a larger sample contains the smaller one.

    Args:
        images: ids to draw from.
        telling: ids with something to show (relations or gold); the others come only when these run out.
        most: how many to take.
    """
    drawn = sorted(images, key=lambda one: (one not in telling, hashlib.sha256(one.encode()).digest()))
    return sorted(drawn[:most], key=reading_order)


def reading_order(image_id: str) -> tuple[int, int, str]:
    """Numbers by value, before everything else by letters: 2, 10, a."""
    plain = image_id.isascii() and image_id.isdigit()
    return (0, int(image_id), image_id) if plain else (1, 0, image_id)

"""Which images a page shows, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import duckdb

from relforge.reports.query import select


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


def choose_rows(
    connection: duckdb.DuckDBPyConnection, images: str, informative: Sequence[str], count: int
) -> list[str]:
    """The same from tables, without a list of all images.

    Args:
        images: table or sub-query of the images to draw from.
        informative: tables of images with something to show.
    """
    told = (
        " OR ".join(f"image_id IN (SELECT DISTINCT image_id FROM {name})" for name in informative) or "true"
    )
    sql = f"SELECT image_id FROM {images} ORDER BY ({told}) DESC, sha256(image_id) LIMIT {count}"
    drawn: list[str] = select(connection, sql)["image_id"].to_pylist()
    return sorted(drawn, key=reading_order)


def reading_order(image_id: str) -> tuple[int, int, str]:
    """Sort key: numbers by value, before everything else by letters: 2, 10, a."""
    plain = image_id.isascii() and image_id.isdigit()
    return (0, int(image_id), image_id) if plain else (1, 0, image_id)

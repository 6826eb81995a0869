"""Which images a page shows, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import duckdb
import pyarrow as pa

from relforge.reports.query import select

_FURTHER = 8
"""So many times more images are drawn where too few of those before have something to show."""


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
    limit = count
    while True:  # most often the first ones have something to show, so that no list of those that do is made
        sql = f"SELECT image_id FROM {images} ORDER BY sha256(image_id) LIMIT {limit}"
        drawn: list[str] = select(connection, sql)["image_id"].to_pylist()
        told = set(drawn) if not informative else _find_informative(connection, drawn, informative)
        if len(told) >= count or len(drawn) < limit:
            break
        limit *= _FURTHER
    kept = [one for one in drawn if one in told] + [one for one in drawn if one not in told]
    return sorted(kept[:count], key=reading_order)


def _find_informative(
    connection: duckdb.DuckDBPyConnection, images: Sequence[str], informative: Sequence[str]
) -> set[str]:
    connection.register("drawn", pa.table({"image_id": pa.array(images, pa.string())}))
    rows = " UNION ALL ".join(
        f"SELECT image_id FROM {name} SEMI JOIN drawn USING (image_id)" for name in informative
    )
    return set(select(connection, f"SELECT DISTINCT image_id FROM ({rows})")["image_id"].to_pylist())


def reading_order(image_id: str) -> tuple[int, int, str]:
    """Sort key: numbers by value, before everything else by letters: 2, 10, a."""
    plain = image_id.isascii() and image_id.isdigit()
    return (0, int(image_id), image_id) if plain else (1, 0, image_id)

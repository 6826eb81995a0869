"""Flat tables back to images that hold their boxes and relations, as annotation formats have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Scene:
    """One image.

    Args:
        image: its row of the `images` table, without the embedded bytes.
        boxes: rows of `boxes`, by box id.
        relations: rows of `relations` or `gold`. Scores are the shortest decimals that give back the
            stored float32.
    """

    image: dict[str, Any]
    boxes: list[dict[str, Any]]
    relations: list[dict[str, Any]]


def read_scenes(tables: Mapping[str, pa.Table]) -> Iterator[Scene]:
    """The images of one shard, in the order of their ids."""
    boxes = _by_image(tables["boxes"])
    relations = _by_image(_short_floats(tables.get("relations", tables.get("gold"))))
    for image in tables["images"].drop_columns("bytes").to_pylist():
        key = image["image_id"]
        yield Scene(image, boxes.get(key, []), relations.get(key, []))


def as_number_or_text(identity: str) -> int | str:
    """An id as the formats expect it: a number where it is one in plain decimal form."""
    plain = identity.isascii() and identity.isdigit() and (identity == "0" or identity[0] != "0")
    return int(identity) if plain else identity


def _by_image(table: pa.Table | None) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist() if table is not None else ():
        found.setdefault(row.pop("image_id"), []).append(row)
    return found


def _short_floats(table: pa.Table | None) -> pa.Table | None:
    """float32 columns as the float64 nearest to their shortest decimal form."""
    if table is None:
        return None
    for index, field in enumerate(table.schema):
        if field.type == pa.float32():
            shortest = pc.cast(pc.cast(table[field.name], pa.string()), pa.float64())
            table = table.set_column(index, field.name, shortest)
    return table

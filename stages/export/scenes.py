"""Flat tables back to images that hold their boxes and relations, as annotation formats have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_FACT = ["image_id", "subject_box", "object_box", "predicate"]


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

    @property
    def file_name(self) -> str | None:
        """As the source has it, folders included; else the end of the URI, or all of it where another image
        ends alike."""
        name, uri = self.image.get("file_name"), self.image["uri"]
        if name is None and uri and not self.image.get("shared_name"):
            return PurePosixPath(uri).name
        return name if name is not None else uri


def read_scenes(
    tables: Mapping[str, pa.Table], counts: Counter[str], repeats: bool = False
) -> Iterator[Scene]:
    """The images of one shard, in the order of their ids.

    Args:
        tables: of the shard.
        counts: takes `left_out`, the relations that `drop_unfit` leaves out.
        repeats: see `drop_unfit`.
    """
    boxes = _by_image(tables["boxes"])
    found = tables.get("relations", tables.get("gold"))
    relations = _by_image(None if found is None else _short_floats(drop_unfit(found, counts, repeats)))
    for image in tables["images"].drop_columns("bytes").to_pylist():
        key = image["image_id"]
        yield Scene(image, boxes.get(key, []), relations.get(key, []))


def drop_unfit(relations: pa.Table, counts: Counter[str], repeats: bool = False) -> pa.Table:
    """The relations of one shard that may leave: no box is related to itself, and none comes twice.

    Args:
        counts: takes `left_out` where there are others.
        repeats: keep a relation that comes twice (`select.deduplicate: none`), for formats that number
            relations by place; else the one with the highest score is kept, whose id the others share.
    """
    fit = pc.not_equal(relations["subject_box"], relations["object_box"])
    kept = relations.filter(fit)
    if not repeats and kept.num_rows > kept.group_by(_FACT).aggregate([]).num_rows:
        at = kept.append_column("place", pa.array(range(kept.num_rows)))
        order = [("score", "descending")] if "score" in kept.column_names else []
        best = at.sort_by([*order, ("place", "ascending")]).group_by(_FACT, use_threads=False)
        places = best.aggregate([("place", "first")])["place_first"]
        kept = kept.take(pa.array(sorted(places.to_pylist()), pa.int64()))
    if left_out := relations.num_rows - kept.num_rows:
        counts["left_out"] += left_out
    return kept


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

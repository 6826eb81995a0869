"""Captions about a known pair: matching sees each such pair as an image of its own with two boxes.

So a sentence about one of three people and one of four cups relates these two and no others, whatever else
the image holds; all rules of matching hold as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from relforge.stages.caption.regions_table import ASKED
from relforge.stages.tables import SCHEMAS, conform

_MARK = "\0pair "
"""Between image id and region in the id of a pair's image; no id holds it, since no file's text does."""
RULE = "asked"


def separate_pairs(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables with an image more for each asked pair, which has the pair's boxes and captions."""
    made = dict(tables)
    asked = [row for row in tables["regions"].to_pylist() if row["kind"] == ASKED]
    region_of = {(row["image_id"], caption): row for row in asked for caption in row["caption_ids"]}
    triplets = tables["triplets"]
    keys = zip(triplets["image_id"].to_pylist(), triplets["caption_id"].to_pylist(), strict=True)
    names = [_name(region_of[key]) if key in region_of else key[0] for key in keys]
    at = triplets.column_names.index("image_id")
    field = SCHEMAS["triplets"].field("image_id")
    renamed = triplets.set_column(at, field, pa.array(names, pa.string()))
    made["triplets"] = renamed.sort_by(
        [(key, "ascending") for key in ("image_id", "caption_id", "triplet_id")]
    )
    boxes = {(row["image_id"], row["box_id"]): row for row in tables["boxes"].to_pylist()}
    images = {row["image_id"]: row for row in tables["images"].to_pylist()}
    of_pairs: dict[str, list[dict[str, Any]]] = {"boxes": [], "images": []}
    for row in asked:
        own = {"image_id": _name(row)}
        of_pairs["images"].append(images[row["image_id"]] | own)
        for end in ("subject_box", "object_box"):
            of_pairs["boxes"].append(boxes[row["image_id"], row[end]] | own)
    for name, rows in of_pairs.items():
        added = pa.Table.from_pylist(rows, SCHEMAS[name])
        made[name] = conform(name, pa.concat_tables([tables[name], added]))
    return made


def join_pairs(candidates: pa.Table) -> pa.Table:
    """Candidates of the pairs as those of their images, with the rule `asked`; claims are numbered anew."""
    rows = candidates.to_pylist()
    for row in rows:
        image_id, mark, region = row["image_id"].partition(_MARK)
        row["image_id"] = image_id
        row["order"] = (int(region) if mark else -1, row["claim_id"])
        if mark:
            row["rule"] = RULE
    claims: dict[str, dict[tuple[int, int], int]] = {}
    for row in sorted(rows, key=lambda row: row["order"]):
        of_image = claims.setdefault(row["image_id"], {})
        row["claim_id"] = row["position"] = of_image.setdefault(row.pop("order"), len(of_image))
    return conform("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))


def _name(region: Mapping[str, Any]) -> str:
    return f"{region['image_id']}{_MARK}{region['region']}"

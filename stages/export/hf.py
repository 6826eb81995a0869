"""A dataset of the Hugging Face hub: Parquet files by table and split, and a card that names them."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from relforge.images.error import ImageError
from relforge.images.read import read
from relforge.stages.export.scenes import drop_unfit

TABLES = ("relations", "images", "boxes", "gold")
"""Each is a config of the dataset; the first is the one that is loaded by default."""
_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_READERS = 8
_RESERVED = "all"
"""`datasets` takes this split name to mean every split."""


def write(
    tables: Iterable[Mapping[str, pa.Table]], path: Path, embed: bool = True, license: str = "other"
) -> dict[str, int]:
    """A folder that `datasets.load_dataset(FOLDER, "relations")` reads; other configs are `images`, `boxes`
    and, where the tables have no relations but gold, `gold`. Splits are those of the images.

    Args:
        embed: the image files go into the column `image` of `images`; else it has their paths alone.
        license: of the card, as the hub names licences. Images and boxes are under their own.
    """
    path.mkdir()
    counts = Counter(images=0, boxes=0, relations=0)
    files: dict[str, dict[str, list[str]]] = {name: defaultdict(list) for name in TABLES}
    about: dict[str, Any] = {"datasets": {}, "predicates": Counter()}
    for number, shard in enumerate(tables):
        found = {name: shard[name] for name in TABLES if name in shard}
        for name in ("relations", "gold"):
            if name in found:
                found[name] = drop_unfit(found[name], counts)
        images = found["images"]
        about["datasets"] |= dict.fromkeys(images["dataset"].to_pylist())
        if "relations" in found:
            about["predicates"].update(found["relations"]["predicate"].to_pylist())
        for name, table in found.items():
            counts[name] += table.num_rows
        found["images"] = _with_pixels(images, embed)
        for split in pc.unique(images["split"]).to_pylist():
            chosen = images.filter(pc.equal(images["split"], split))["image_id"]
            for name, table in found.items():
                rows = table.filter(pc.is_in(table["image_id"], chosen))
                file = f"data/{name}/{_split_name(split)}-{number:05d}.parquet"
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(_with_features(rows, name), path / file, compression="zstd")
                files[name][_split_name(split)].append(file)
    (path / "README.md").write_text(_card(files, about, counts, license), encoding="utf-8")
    return dict(counts)


def _split_name(split: str) -> str:
    """As `datasets` allows it: letters, digits and underscores."""
    name = re.sub(r"\W+", "_", split) or "train"
    return f"{name}_images" if name == _RESERVED else name


def _with_pixels(images: pa.Table, embed: bool) -> pa.Table:
    """The `images` table with the column `image`, `{bytes, path}`, instead of `bytes`."""
    rows = images.select(["uri", "bytes", "file_name", "image_id"]).to_pylist()

    def encoded(row: Mapping[str, Any]) -> dict[str, Any] | None:
        name = row["file_name"] or row["uri"] or row["image_id"]
        if not embed:
            return {"bytes": None, "path": row["uri"]} if row["uri"] else None
        try:
            return {"bytes": bytes(read(row["uri"], row["bytes"])), "path": name.rpartition("/")[2]}
        except (ImageError, OSError):
            return None  # the dataset has no file for it

    with ThreadPoolExecutor(_READERS) as readers:
        pixels = pa.array(list(readers.map(encoded, rows)), _IMAGE)
    return images.drop_columns(["bytes", "shared_name"]).append_column("image", pixels)


def _with_features(table: pa.Table, name: str) -> pa.Table:
    """Schema metadata by which `datasets` knows that a column is an image."""
    if name != "images":
        return table.replace_schema_metadata(None)
    features: dict[str, Any] = {}
    for field in table.schema:
        kind = {"_type": "Image"} if field.name == "image" else {"dtype": str(field.type), "_type": "Value"}
        features[field.name] = kind
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _card(
    files: Mapping[str, Mapping[str, Sequence[str]]],
    about: Mapping[str, Any],
    counts: Mapping[str, int],
    license: str,
) -> str:
    configs: list[dict[str, Any]] = [
        {
            "config_name": name,
            **({"default": True} if name == TABLES[0] else {}),
            "data_files": [
                {"split": split, "path": f"data/{name}/{split}-*.parquet"} for split in sorted(splits)
            ],
        }
        for name, splits in files.items()
        if splits
    ]
    head = yaml.safe_dump(
        {"license": license, "tags": ["visual-relations", "scene-graph"], "configs": configs}, sort_keys=False
    )
    named = ", ".join(about["datasets"]) or "images"
    rows = "\n".join(f"| {_cell(name)} | {count:,} |" for name, count in about["predicates"].most_common(20))
    described = "\n".join(_DESCRIBED[one["config_name"]] for one in configs)
    first = next((one["config_name"] for one in configs), "images")
    return f"""---
{head}---
# Relations of {named}

Relations by relforge: {counts["relations"]:,} of {counts["boxes"]:,} boxes in {counts["images"]:,} images.

```python
from datasets import load_dataset

load_dataset("THIS_DATASET", {first!r})
```

| config | one row is | columns |
|---|---|---|
{described}

| predicate | relations |
|---|---|
{rows}

Images and boxes are the source's, under its terms.
"""


_DESCRIBED = {
    "relations": "| `relations` | a relation | `image_id`, `subject_box`, `object_box`, `predicate`, ... |",
    "images": "| `images` | an image | `image_id`, `width`, `height`, `image`, `file_name` |",
    "boxes": "| `boxes` | a box | `image_id`, `box_id`, `category`, `x`, `y`, `w`, `h` (pixels, top-left) |",
    "gold": "| `gold` | a relation of the source | `image_id`, `subject_box`, `object_box`, `predicate` |",
}


def _cell(text: str) -> str:
    """A name in a table of Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")

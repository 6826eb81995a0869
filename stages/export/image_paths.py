"""Where each image of a dataset is: `image_id_to_filepath.json`, as RLIPv2 reads Objects365."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """`{image id: "<split>/<file name>"}`, e.g. `train/patch16/objects365_v2_00900461.jpg`.

    Returns:
        `images`, and `left_out`: images without a file name.
    """
    counts = Counter(images=0, left_out=0)
    found: dict[str, str] = {}
    for shard in tables:
        columns = (shard["images"][name].to_pylist() for name in ("image_id", "split", "file_name"))
        for identity, split, name in zip(*columns, strict=True):
            if name is None:
                counts["left_out"] += 1
                continue
            found[identity] = f"{split}/{name}"
    counts["images"] = len(found)
    path.write_text(json.dumps(found, separators=(",", ":")))
    return dict(counts)

"""A folder of Parquet files: the layout that dataset format `parquet` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from relforge.stages.export.scenes import drop_unfit

TABLES = ("images", "boxes", "gold", "relations")


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """`images.parquet`, `boxes.parquet` and, where the run has them, `gold` and `relations`; one row group
    per shard, zstd. All columns but `triplet_ids`, which point into a table that is not written."""
    path.mkdir()
    counts = Counter(images=0, boxes=0, relations=0)
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        for shard in tables:
            for name in TABLES:
                if name not in shard:
                    continue
                table = shard[name]
                if name in ("gold", "relations"):
                    table = drop_unfit(table, counts)
                if "triplet_ids" in table.column_names:
                    table = table.drop_columns("triplet_ids")
                if name not in writers:
                    writer = pq.ParquetWriter(path / f"{name}.parquet", table.schema, compression="zstd")
                    writers[name] = stack.enter_context(writer)
                writers[name].write_table(table)
                counts[name] += table.num_rows
    return dict(counts)

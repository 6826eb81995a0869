"""A folder of Parquet files: the layout that dataset format `parquet` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TABLES = ("images", "boxes", "gold", "relations")


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """`images.parquet`, `boxes.parquet` and, where the run has them, `gold` and `relations`; all columns,
    one row group per shard, zstd."""
    path.mkdir()
    counts = Counter(images=0, boxes=0, relations=0)
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        for shard in tables:
            for name in TABLES:
                if name not in shard:
                    continue
                if name not in writers:
                    writer = pq.ParquetWriter(
                        path / f"{name}.parquet", shard[name].schema, compression="zstd"
                    )
                    writers[name] = stack.enter_context(writer)
                writers[name].write_table(shard[name])
                counts[name] += shard[name].num_rows
    return dict(counts)

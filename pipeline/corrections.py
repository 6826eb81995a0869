"""Corrections in a run folder: read, and joined with those that are there."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.corrections.table import FILE, SCHEMA
from relforge.stages.registry import IMPORTERS


def read_corrections(folder: RunFolder) -> pa.Table | None:
    """The table `corrections` of a run; None where nobody has corrected it.

    Raises:
        RunError: the file is damaged.
    """
    try:
        data = folder.storage.read(FILE)
    except FileNotFoundError:
        return None
    try:
        return pq.read_table(io.BytesIO(data), schema=SCHEMA)
    except (pa.ArrowInvalid, OSError) as error:
        raise folder.damaged(FILE, str(error), "import the corrections again") from error


def import_corrections(run: str, tool: str, file: str) -> dict[str, int]:
    """Read a tool's file into the run's `corrections`; what was said before of these images is replaced.

    Args:
        run: the run folder.
        tool: a name of `stages.registry.IMPORTERS`.
        file: as the tool exports it.

    Returns:
        counts, as the tool's reader gives them, and `corrections`: rows of the table now.

    Raises:
        RunError: not a run folder, or it has no boxes yet.
        ValueError: no such tool, or a file that is not the tool's.
        OSError: it cannot be read.
    """
    folder = RunFolder(run)
    survey = Survey(folder, load_plan(folder))
    images = _read(folder, survey, "images", ["image_id", "width", "height"])
    sizes = {row["image_id"]: (row["width"], row["height"]) for row in images.to_pylist()}
    if not sizes:
        raise RunError(f"{run} holds no images yet; let relforge run ingest them first")

    def boxes_of(wanted: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        columns = ["image_id", "box_id", "category", "x", "y", "w", "h"]
        rows = _read(folder, survey, "boxes", columns)
        for row in rows.filter(pc.is_in(rows["image_id"], pa.array(wanted, pa.string()))).to_pylist():
            found[row["image_id"]].append(row)
        return found

    table: pa.Table
    counts: Counter[str]
    table, counts = IMPORTERS.load(tool)(file, boxes_of, sizes)
    before = read_corrections(folder)
    if before is not None:
        said = pc.is_in(before["image_id"], pc.unique(table["image_id"]))
        table = pa.concat_tables([before.filter(pc.invert(said)), table])
    table = table.sort_by([(name, "ascending") for name in SCHEMA.names[:4]])
    packed = io.BytesIO()
    pq.write_table(table, packed, compression="zstd")
    folder.storage.write(FILE, packed.getvalue())
    return dict(counts) | {"corrections": table.num_rows}


def _read(folder: RunFolder, survey: Survey, name: str, columns: list[str]) -> pa.Table:
    parts = [
        folder.read_table(name, shard, entry.sidecar).select(columns)
        for shard, entry in sorted(survey.entries.get(name, {}).items())
        if entry.sidecar is not None and entry.problem is None
    ]
    return pa.concat_tables(parts) if parts else pa.table({column: [] for column in columns})

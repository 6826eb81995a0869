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
from relforge.stages.corrections.corrections import FILES, SCHEMAS, SORT_KEYS, Corrections
from relforge.stages.registry import IMPORTERS


def read_corrections(folder: RunFolder) -> Corrections | None:
    """What people said of a run; None where nobody has corrected it.

    Raises:
        RunError: a file is damaged.
    """
    tables = {name: table for name in FILES if (table := _read_file(folder, name)) is not None}
    return Corrections.of(tables)


def _read_file(folder: RunFolder, name: str) -> pa.Table | None:
    try:
        data = folder.storage.read(FILES[name])
    except FileNotFoundError:
        return None
    try:
        return pq.read_table(io.BytesIO(data), schema=SCHEMAS[name])
    except (pa.ArrowInvalid, OSError) as error:
        raise folder.damaged(FILES[name], str(error), "import the corrections again") from error


def import_corrections(run: str, tool: str, file: str) -> dict[str, int]:
    """Read a tool's file into the run's `corrections` and `corrected_boxes`; what was said before of these
    images is replaced.

    Args:
        run: the run folder.
        tool: a name of `stages.registry.IMPORTERS`.
        file: as the tool exports it.

    Returns:
        counts, as the tool's reader gives them, and rows of the two tables now.

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
        among = pc.is_in(pc.field("image_id"), pa.array(wanted, pa.string()))
        for row in _read(folder, survey, "boxes", columns, among).to_pylist():
            found[row["image_id"]].append(row)
        return found

    found: Corrections
    judged: list[str]
    counts: Counter[str]
    found, judged, counts = IMPORTERS.load(tool)(file, boxes_of, sizes)
    before = read_corrections(folder) or Corrections()
    again = pa.array(judged, pa.string())
    for name, now, said in (
        ("corrected_boxes", found.boxes, before.boxes),
        ("corrections", found.relations, before.relations),
    ):
        others = said.filter(pc.invert(pc.is_in(said["image_id"], again)))
        table = pa.concat_tables([others, now]).sort_by([(key, "ascending") for key in SORT_KEYS[name]])
        packed = io.BytesIO()
        pq.write_table(table, packed, compression="zstd")
        folder.storage.write(FILES[name], packed.getvalue())
        counts[name] = table.num_rows
    return dict(counts)


def _read(
    folder: RunFolder, survey: Survey, name: str, columns: list[str], among: pc.Expression | None = None
) -> pa.Table:
    """Columns of a table; with `among`, of the rows that it holds for."""
    parts = []
    for shard, entry in sorted(survey.entries.get(name, {}).items()):
        if entry.sidecar is not None and entry.problem is None:
            rows = folder.read_table(name, shard, entry.sidecar, survey.plan.spec(name).schema)
            parts.append((rows if among is None else rows.filter(among)).select(columns))
    return pa.concat_tables(parts) if parts else pa.table({column: [] for column in columns})

"""A finished run written in another format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.pipeline.corrections import read_corrections
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.export import SUFFIXES, export

Tables = dict[str, pa.Table]


class Unfinished(RunError):
    """The run is not complete, so an export would silently lack relations."""


def default_path(run: str, to: str) -> str:
    """Where an export is written when no path is given: `RUN/export/rlipv2.json`."""
    return f"{run.rstrip('/')}/export/{to}{SUFFIXES.get(to, '')}"


def export_run(
    run: str,
    to: str,
    out: str,
    *,
    min_score: float = 0.0,
    keep: Callable[[Tables], pa.Table] | None = None,
    exclude: Collection[str] = (),
    partial: bool = False,
    **options: Any,
) -> dict[str, int]:
    """Write the relations of a run in another format, a shard at a time, as people corrected them.

    Args:
        run: the run folder.
        to: a name of `relforge.stages.export.TARGETS`.
        out: file or folder; appears whole or not at all.
        min_score: leave out relations that score lower. The run itself keeps them.
        keep: tables of a shard (images, boxes, relations) -> the relations to write; by default all.
        exclude: ids of images that are left out.
        partial: export the shards that are done though others are not.
        options: of the format.

    Returns:
        rows written, as the format counts them; with `exclude` also `excluded_images`.

    Raises:
        Unfinished: shards are missing and `partial` was not given.
        RunError: not a run folder, a run that stops before `select`, or a damaged shard.
        ValueError: an unknown format or option.
    """
    folder = RunFolder(run)
    plan = load_plan(folder)
    if "relations" not in plan.tables:
        raise RunError(
            f"{run} has no select stage, so there are no relations to export; add it to the config"
        )
    survey = Survey(folder, plan)
    if not survey.complete and not partial:
        raise Unfinished(f"{run} is not complete; finish it with relforge run, or pass --partial")
    if not exclude:
        return export(to, _shards(folder, survey, min_score, keep), out, **options)
    found: Counter[str] = Counter(excluded_images=0)
    counts = export(to, _without(_shards(folder, survey, min_score, keep), exclude, found), out, **options)
    return counts | found


def _shards(
    folder: RunFolder,
    survey: Survey,
    min_score: float,
    keep: Callable[[Tables], pa.Table] | None,
) -> Iterator[Tables]:
    writers = {table: step for step in survey.plan.steps for table in step.outputs}
    ready = survey.sidecars(writers["relations"])
    corrections = read_corrections(folder)
    for shard in sorted(ready):
        tables: Tables = {}
        for name in ("images", "boxes", "relations"):
            sidecar = survey.entries[name][shard].sidecar
            assert sidecar is not None  # relations count as done only when what they descend from is
            tables[name] = folder.read_table(name, shard, sidecar, survey.plan.spec(name).schema)
        listed = survey.entries["classes"].get(shard) if "classes" in survey.entries else None
        if listed is not None and listed.sidecar is not None:
            tables["classes"] = folder.read_table("classes", shard, listed.sidecar)
        if corrections is not None:
            tables["boxes"], tables["relations"] = corrections.apply(
                tables["images"], tables["boxes"], tables["relations"]
            )
        if min_score > 0:
            tables["relations"] = tables["relations"].filter(pc.field("score") >= min_score)
        if keep:
            tables["relations"] = keep(tables)
        yield tables


def _without(shards: Iterator[Tables], exclude: Collection[str], found: Counter[str]) -> Iterator[Tables]:
    """Shards without the excluded images, which are counted."""
    ids = pa.array(sorted(exclude), pa.string())
    for tables in shards:
        kept = {
            name: tables[name].filter(pc.invert(pc.is_in(pc.field("image_id"), ids)))
            for name in ("images", "boxes", "relations")
        }
        found["excluded_images"] += tables["images"].num_rows - kept["images"].num_rows
        yield tables | kept

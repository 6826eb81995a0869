"""What the picture page shows, read from a run folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import pyarrow as pa

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.datasets import Datasets, open_datasets
from relforge.reports.query import connect, select
from relforge.reports.view.choose import choose, reading_order
from relforge.reports.view.evidence import Names
from relforge.reports.view.picture import data_uri
from relforge.reports.view.scene import scene
from relforge.stages.match import vocabulary
from relforge.stages.match.phrases import PhraseMatcher

_SHOWN = ("relations", "scores", "candidates")
_FACTS = ("boxes", "captions", "triplets", "gold", "candidates", "scores", "relations")
_READERS = 8


def gather(run: str, most: int = 200, only: Sequence[str] = ()) -> dict[str, Any]:
    """Everything on the page as plain values.

    Args:
        run: the run folder.
        most: how many images, drawn by `choose`.
        only: these images instead.

    Returns:
        `run`, `dataset`, `shown` (the table drawn), `gold` (whether the run knows any), `total` images,
        `left_out` of them, and `images` (`scene` with `picture` and `no_image`).

    Raises:
        RunError: not a run folder, nothing ingested, or an image the run does not have.
    """
    plan = Plan.from_record(RunFolder(run).record())
    datasets, _ = open_datasets(run)
    if "images" not in datasets:
        raise RunError(f"{run} holds no images yet; let relforge run ingest them first")
    connection = connect(datasets)
    shown = next((name for name in _SHOWN if name in datasets), _SHOWN[0])
    gold = "gold" in datasets and _count(connection, "gold") > 0
    total = _count(connection, "images")
    chosen = _these(connection, run, only) if only else _sample(connection, datasets, shown, most)
    rows = _rows(connection, datasets, chosen)
    names = Names(_matcher(plan, connection, datasets))
    images = {row["image_id"]: row for row in _of(connection, "images", chosen)}
    scenes = [scene(images[one], rows[one], shown, gold, names) for one in chosen]

    def picture(one: str) -> tuple[str | None, str]:
        row = images[one]
        return data_uri(row["uri"], row["bytes"], (row["width"], row["height"]))

    with ThreadPoolExecutor(_READERS) as readers:
        for made, (packed, why) in zip(scenes, readers.map(picture, chosen), strict=True):
            made |= {"picture": packed, "no_image": why}
    return {
        "run": run,
        "dataset": plan.job.dataset,
        "shown": shown,
        "gold": gold,
        "total": total,
        "left_out": total - len(chosen),
        "images": scenes,
    }


def _these(connection: duckdb.DuckDBPyConnection, run: str, only: Sequence[str]) -> list[str]:
    known = {row["image_id"] for row in _of(connection, "images", only)}
    if unknown := [one for one in only if one not in known]:
        raise RunError(
            f"--image {unknown[0]}: no such image in {run}; relforge inspect {run} --table images lists them"
        )
    return sorted(known, key=reading_order)


def _sample(connection: duckdb.DuckDBPyConnection, datasets: Datasets, shown: str, most: int) -> list[str]:
    sources = [name for name in (shown, "gold") if name in datasets]
    union = " UNION ".join(f"SELECT image_id FROM {name}" for name in sources)
    telling = set(_column(connection, union)) if union else set()
    return choose(_column(connection, "SELECT image_id FROM images"), telling, most)


def _rows(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, chosen: Sequence[str]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """image -> table -> rows."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for name in _FACTS:
        if name in datasets:
            for row in _of(connection, name, chosen):
                found[row["image_id"]][name].append(row)
    return found


def _matcher(plan: Plan, connection: duckdb.DuckDBPyConnection, datasets: Datasets) -> PhraseMatcher | None:
    """By the synonyms the run matched with; None where it did not, or they are gone."""
    stage = next((one for one in plan.job.stages if one.name == "match"), None)
    if stage is None or "boxes" not in datasets:
        return None
    try:
        known = vocabulary.load(stage.options.get("synonyms", ("coco",)))
    except (OSError, ValueError):
        return None
    return PhraseMatcher(known, _column(connection, "SELECT DISTINCT category FROM boxes ORDER BY category"))


def _of(connection: duckdb.DuckDBPyConnection, table: str, images: Sequence[str]) -> list[dict[str, Any]]:
    connection.register("chosen", pa.table({"image_id": pa.array(images, pa.string())}))
    rows: list[dict[str, Any]] = select(
        connection, f"SELECT * FROM {table} SEMI JOIN chosen USING (image_id)"
    ).to_pylist()
    return rows


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(select(connection, f"SELECT count(*) AS n FROM {table}")["n"][0].as_py())


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    values: list[str] = select(connection, sql).column(0).to_pylist()
    return values

"""The image page: what it shows, read from a run folder, and the page itself."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import pyarrow as pa

from relforge.images.decode import MAX_PIXELS
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.datasets import Datasets, open_datasets
from relforge.reports.html import fill, write_page
from relforge.reports.matching import find_images
from relforge.reports.query import connect, select
from relforge.reports.view.scene import describe_image
from relforge.reports.view.thumbnail import encode_thumbnail

_SHOWN = ("relations", "scores", "candidates")
_FACTS = ("boxes", "captions", "triplets", "gold", *_SHOWN)
_READERS = 8


def gather(
    run: str, max_images: int = 200, only: Sequence[str] = (), where: str | None = None
) -> dict[str, Any]:
    """Everything on the page as plain values.

    Args:
        run: the run folder.
        max_images: how many images, drawn by `choose`.
        only: these images instead.
        where: a condition on rows of the table drawn; images without such a row are not drawn from.

    Returns:
        `run`, `dataset`, `shown` (the table drawn), `gold` (whether the run has any), `total` images
        to draw from, `left_out` of them, and `images` (`scene` with `thumbnail` and, where there is none,
        `no_thumbnail`).

    Raises:
        RunError: not a run folder, nothing ingested, an image the run does not have, or no image that
            `where` holds for.
        QueryError: `where` is no condition.
    """
    job = load_plan(RunFolder(run)).job
    datasets, _ = open_datasets(run)
    if "images" not in datasets:
        raise RunError(f"{run} holds no images yet; let relforge run ingest them first")
    connection = connect(datasets)
    shown = next((name for name in _SHOWN if name in datasets), _SHOWN[0])
    gold = "gold" in datasets and _count(connection, "gold") > 0
    total = _count(connection, "images")
    if only:
        chosen = _check_images(connection, run, only)
    elif where is not None:
        matching = _matching(connection, datasets, run, shown, where)
        chosen, total = choose(matching, matching, max_images), len(matching)
    else:
        chosen = _sample(connection, datasets, shown, max_images)
    rows = _rows_by_image(connection, datasets, chosen)
    images = {row["image_id"]: row for row in _rows(connection, "images", chosen)}
    scenes = [describe_image(images[one], rows[one], shown, gold) for one in chosen]

    written = job.config.get("dataset", {})
    orientation, max_pixels = written.get("orientation"), written.get("max_pixels", MAX_PIXELS)

    def thumbnail(one: str) -> tuple[str | None, str]:
        row = images[one]
        size = (row["width"], row["height"])
        return encode_thumbnail(row["uri"], row["bytes"], size, max_pixels, orientation)

    with ThreadPoolExecutor(_READERS) as readers:
        for facts, (packed, reason) in zip(scenes, readers.map(thumbnail, chosen), strict=True):
            facts |= {"thumbnail": packed, "no_thumbnail": reason}
    return {
        "run": run,
        "dataset": job.dataset,
        "shown": shown,
        "gold": gold,
        "total": total,
        "left_out": total - len(chosen),
        "images": scenes,
    }


def write(data: dict[str, Any], out: str) -> None:
    """Write `gather`'s values as one page that needs no other file."""
    write_page(fill(__package__, "page.html", f"{data['dataset']} - relforge view", data), out)


def choose(images: Sequence[str], informative: Collection[str], count: int) -> list[str]:
    """A fair sample, the same every time, in reading order.

    Images are drawn by a hash of their id, so that the page neither favours easy images nor changes from
    one call to the next, and a larger sample contains the smaller one.

    Args:
        images: ids to draw from.
        informative: ids with something to show (relations or gold); the others come only when these run out.
        count: how many to take.
    """
    drawn = sorted(images, key=lambda one: (one not in informative, hashlib.sha256(one.encode()).digest()))
    return sorted(drawn[:count], key=reading_order)


def reading_order(image_id: str) -> tuple[int, int, str]:
    """Sort key: numbers by value, before everything else by letters: 2, 10, a."""
    plain = image_id.isascii() and image_id.isdigit()
    return (0, int(image_id), image_id) if plain else (1, 0, image_id)


def _check_images(connection: duckdb.DuckDBPyConnection, run: str, only: Sequence[str]) -> list[str]:
    known = {row["image_id"] for row in _rows(connection, "images", only)}
    if unknown := [one for one in only if one not in known]:
        raise RunError(
            f"--image {unknown[0]}: no such image in {run}; relforge inspect {run} --table images lists them"
        )
    return sorted(known, key=reading_order)


def _sample(connection: duckdb.DuckDBPyConnection, datasets: Datasets, shown: str, count: int) -> list[str]:
    sources = [name for name in (shown, "gold") if name in datasets]
    union = " UNION ".join(f"SELECT image_id FROM {name}" for name in sources)
    informative = set(_column(connection, union)) if union else set()
    return choose(_column(connection, "SELECT image_id FROM images"), informative, count)


def _matching(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, run: str, shown: str, where: str
) -> list[str]:
    if shown not in datasets:
        raise RunError(f"{run} has no {shown} yet, so there is nothing for --where to choose from")
    if images := find_images(connection, datasets, shown, where):
        return images
    raise RunError(
        f"no row of {shown} in {run} is one where {where!r} holds; relforge inspect shows its rows"
    )


def _rows_by_image(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, chosen: Sequence[str]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """image -> table -> rows."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for name in _FACTS:
        if name in datasets:
            for row in _rows(connection, name, chosen):
                found[row["image_id"]][name].append(row)
    return found


def _rows(connection: duckdb.DuckDBPyConnection, table: str, images: Sequence[str]) -> list[dict[str, Any]]:
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

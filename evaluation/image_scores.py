"""Scores of whole images as a Parquet table that anybody can write: one row per (image, interaction)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from relforge.data.image_labels import ImageLabels
from relforge.stages.interactions import Interactions

IMAGE_SCORES = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("image_id", "verb", "object")),
        pa.field("score", pa.float64()),
    ]
)
"""Scores rank, the largest first; a row that is missing ranks last."""


def write_image_scores(path: Path, image_ids: list[str], pairs: Interactions, scores: np.ndarray) -> None:
    """Write N x C scores to one file."""
    columns = [
        pa.array(image_ids).take(pa.array(np.repeat(np.arange(len(image_ids)), len(pairs)))),
        *(pa.array([pair[end] for pair in pairs] * len(image_ids), pa.string()) for end in (0, 1)),
        pa.array(scores.astype(np.float64).reshape(-1)),
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=IMAGE_SCORES), path)


def read_image_scores(path: str, gold: ImageLabels) -> np.ndarray:
    """N x C float64 in the order of the gold; minus infinity where the table has no row.

    Raises:
        ValueError: no such file, a column that is missing or of another type, a score that is missing or
            NaN, a row that is there twice, or no row of the gold's images and interactions.
    """
    if not Path(path).exists():
        raise ValueError(f"scores: {path} does not exist")
    try:
        table = ds.dataset(path, format="parquet").to_table()
        table = table.select(IMAGE_SCORES.names).cast(IMAGE_SCORES)
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise ValueError(
            f"scores: {path} is no Parquet table of {', '.join(IMAGE_SCORES.names)}: {error}"
        ) from error
    if (
        any(table[name].null_count for name in table.column_names)
        or pc.any(pc.is_nan(table["score"])).as_py()
    ):
        raise ValueError(f"scores: {path} has a value that is missing or no number")
    image = {name: row for row, name in enumerate(gold.image_ids)}
    column = {pair: code for code, pair in enumerate(gold.interactions)}
    rows = np.array([image.get(name, -1) for name in table["image_id"].to_pylist()], int)
    pairs = zip(table["verb"].to_pylist(), table["object"].to_pylist(), strict=True)
    codes = np.array([column.get(pair, -1) for pair in pairs], int)
    known = (rows >= 0) & (codes >= 0)
    if not known.any():
        raise ValueError(f"scores: {path} has no row of the gold's images and interactions")
    places = rows[known] * len(column) + codes[known]
    if len(np.unique(places)) != len(places):
        raise ValueError(f"scores: {path} has an image and interaction twice")
    scores = np.full(len(image) * len(column), -np.inf)
    scores[places] = table["score"].to_numpy()[known]
    return scores.reshape(len(image), len(column))

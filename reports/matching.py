"""Rows and images of a run that a user's condition holds for."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from relforge.reports.condition import check_condition
from relforge.reports.datasets import Datasets, open_datasets
from relforge.reports.query import connect, make_readable, quote, select

_SHARD = "rows_of_the_shard"
_BOXES = "boxes_of_the_shard"
_PLACE = "place_in_the_shard"


class RelationFilter:
    """Keeps the relations of a shard that a condition holds for.

    Args:
        run: the run folder; sub-queries of the condition may read all of its tables.
        where: the condition, over the columns that `relforge inspect` shows.

    Raises:
        QueryError: it is no condition, or names what the tables do not have.
        RunError: not a run folder.
    """

    def __init__(self, run: str, where: str) -> None:
        self._datasets, _ = open_datasets(run)
        self._connection = connect(self._datasets)
        self._condition = check_condition(where, self._datasets)
        if "relations" in self._datasets:  # a wrong name is found before anything is written
            rows = make_readable("relations", self._datasets)
            select(self._connection, f"SELECT 1 FROM {rows} WHERE {self._condition} LIMIT 0")

    def __call__(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The rows of `tables["relations"]` that the condition holds for, in their order."""
        relations = tables["relations"]
        numbered = relations.append_column(_PLACE, pa.array(np.arange(relations.num_rows)))
        own = {_SHARD: numbered, _BOXES: tables["boxes"]}
        for name, table in own.items():
            self._connection.register(name, table)
        datasets = self._datasets | {name: ds.dataset(table) for name, table in own.items()}
        rows = make_readable(_SHARD, datasets, boxes=_BOXES)
        sql = f"SELECT {_PLACE} FROM {rows} WHERE {self._condition} ORDER BY 1"
        return relations.take(select(self._connection, sql)[_PLACE])


def find_images(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, table: str, where: str
) -> list[str]:
    """Images with a row of `table` that the condition holds for.

    Raises:
        QueryError: it is no condition, or names what the tables do not have.
    """
    rows = f"{make_readable(table, datasets)} WHERE {check_condition(where, datasets)}"
    images: list[str] = select(connection, f"SELECT DISTINCT {quote('image_id')} FROM {rows}")[0].to_pylist()
    return images

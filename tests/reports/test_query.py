"""What the database of reports may take."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from relforge.reports import query


def test_what_does_not_fit_into_memory_goes_to_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "MEMORY", "40MB")
    monkeypatch.chdir(tmp_path)
    connection = query.connect({})

    connection.execute("CREATE TEMP TABLE many AS SELECT range::VARCHAR AS name FROM range(4_000_000)")

    folder = Path(query.select(connection, "SELECT current_setting('temp_directory') AS f")["f"][0].as_py())
    assert any(folder.iterdir())
    assert not list(tmp_path.iterdir())
    connection.close()
    assert not any(one.stat().st_size for one in folder.glob("*.tmp"))


def test_texts_with_quotes_are_texts() -> None:
    connection = query.connect({})

    listed = query.quote_all(["a", "'", "it's"])
    found = query.select(connection, f"SELECT 'it''s' IN {listed} AS x")

    assert found["x"].to_pylist() == [True]


def test_a_long_query_draws_no_bar_into_the_output() -> None:
    connection = query.connect({})

    found = query.select(connection, "SELECT current_setting('enable_progress_bar') AS bar")

    assert found["bar"].to_pylist() == [False]


@pytest.mark.parametrize("name", ["plain", "hive=1", "pattern[1]*", "it's"])
def test_duckdb_opens_files_and_finds_what_arrow_finds(tmp_path: Path, name: str) -> None:
    schema = pa.schema(
        [("image_id", pa.string()), ("ids", pa.list_(pa.struct([("at", pa.int32())]))), ("new", pa.float32())]
    )
    rows = [{"image_id": "2", "ids": [{"at": 1}], "new": 0.5}, {"image_id": "3", "ids": [], "new": None}]
    folder = tmp_path / name
    folder.mkdir()
    earlier = pa.table({"ids": [[{"at": 7}]], "image_id": ["1"]})  # of a version without the column
    pq.write_table(earlier, folder / "part-00000.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "part-00001.parquet")
    table = ds.dataset(sorted(map(str, folder.iterdir())), schema=schema)

    found = [
        query.select(query.connect({"rows": table}, direct=direct), "FROM rows ORDER BY image_id")
        for direct in (True, False)
    ]

    assert found[0] == found[1]
    assert found[0].to_pylist() == [{"image_id": "1", "ids": [{"at": 7}], "new": None}, *rows]


def test_a_connection_that_opens_files_opens_no_others(tmp_path: Path) -> None:
    for name in ("table", "other"):
        pq.write_table(pa.table({"image_id": [name]}), tmp_path / f"{name}.parquet")
    table = ds.dataset([str(tmp_path / "table.parquet")], filesystem=LocalFileSystem())
    connection = query.connect({"rows": table}, direct=True)

    with pytest.raises(query.QueryError, match="disabled by configuration"):
        query.select(connection, f"FROM read_parquet('{tmp_path / 'other.parquet'}')")

    assert query.select(connection, "FROM rows")["image_id"].to_pylist() == ["table"]


def test_a_damaged_file_is_an_error_of_the_query_that_reads_it(tmp_path: Path) -> None:
    for name in ("good", "damaged"):
        pq.write_table(pa.table({"image_id": [name]}), tmp_path / f"{name}.parquet")
    tables = {name: ds.dataset(str(tmp_path / f"{name}.parquet")) for name in ("good", "damaged")}
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")

    connection = query.connect(tables, direct=True)

    assert query.select(connection, "FROM good")["image_id"].to_pylist() == ["good"]
    with pytest.raises(query.QueryError):
        query.select(connection, "FROM damaged")

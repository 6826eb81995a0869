"""A condition is one boolean expression over the run's tables; anything else is refused and has no effect."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from relforge.reports.condition import check_condition
from relforge.reports.query import QueryError, connect, select

TABLES = ("relations", "gold")


@pytest.mark.parametrize(
    "condition",
    [
        "score > 0.5 AND predicate LIKE '%on%'",
        "predicate = '-- no comment'",
        "image_id IN (SELECT image_id FROM gold)",
        "score > (SELECT avg(score) FROM relations r JOIN gold g ON g.image_id = r.image_id)",
        "EXISTS (FROM gold)",
    ],
)
def test_an_expression_over_the_tables_is_accepted(condition: str) -> None:
    assert check_condition(condition, TABLES) == f"({condition}\n)"


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("  ", "is empty"),
        ("true -- x", "contains a comment"),
        ("true /* x */", "contains a comment"),
        ("score >", "cannot be read"),
        ("true; COPY (SELECT 1) TO 'written.csv'; SELECT 1", "cannot be read"),
        ("true; DROP TABLE gold", "cannot be read"),
        ("true); SELECT (1", "more than one statement"),
        ("true) GROUP BY (1", "more than one expression"),
        ("true) LIMIT (1", "more than one expression"),
        ("true) UNION SELECT (2", "more than one expression"),
        ("EXISTS (WITH a AS (SELECT 1) SELECT * FROM a)", "defines a table"),
        ("EXISTS (SELECT * FROM read_text('/etc/passwd'))", "table function"),
        ("EXISTS (SELECT * FROM glob('*'))", "table function"),
        ("EXISTS (SELECT * FROM '/etc/passwd')", "none of gold, relations"),
        ("EXISTS (SELECT * FROM information_schema.tables)", "none of gold, relations"),
        ("EXISTS (SELECT * FROM information_schema.gold)", "none of gold, relations"),
        ("EXISTS (SHOW TABLES)", "table function"),
        ("true INTO OUTFILE 'x'", "cannot be read"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(condition: str, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence) as refused:
        check_condition(condition, TABLES)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA enable_external_access = true",
        "SET threads = 1",
        "SELECT * FROM tmp_path_of_this_test",
    ],
)
def test_the_connection_reaches_nothing_but_the_tables(sql: str, tmp_path: Path) -> None:
    tmp_path_of_this_test = pa.table({"secret": [1]})
    file, out = tmp_path / "secret.csv", tmp_path / "written"
    file.write_text("a\n1\n")
    connection = connect({"gold": ds.dataset(pa.table({"image_id": ["1"]}))})

    with pytest.raises(QueryError):
        select(connection, sql.format(file=file, out=out))

    assert not out.exists()
    assert select(connection, "SELECT count(*) AS n FROM gold")["n"][0].as_py() == 1
    assert tmp_path_of_this_test.num_rows == 1


@pytest.mark.parametrize(
    "setting",
    [
        "enable_external_access",
        "autoinstall_known_extensions",
        "autoload_known_extensions",
        "python_enable_replacements",
    ],
)
def test_every_way_out_of_the_connection_is_closed_by_its_own_setting(setting: str) -> None:
    found = select(connect({}), f"SELECT current_setting('{setting}') AS value")

    assert found["value"].to_pylist() == [False]

"""`relforge inspect`: a run, a table, a shard or an image."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest


def test_a_run_folder_shows_its_tables_and_first_relations(relforge, finished) -> None:
    said = relforge("inspect", finished)

    assert said.code == 0
    assert "relations   7" in said.out
    assert "thing#0" in said.out  # boxes by category and number


def test_a_condition_is_sql_over_the_readable_columns_and_other_tables(relforge, finished) -> None:
    condition = "object = 'thing#1' AND image_id IN (SELECT image_id FROM captions WHERE text LIKE '%00007%')"

    said = relforge("inspect", finished, "--where", condition, "--json")

    assert [row["image_id"] for row in said.json] == ["00007"]


@pytest.mark.parametrize("path", ["boxes", "boxes/part-00001.parquet"])
def test_a_table_or_a_shard_can_be_pointed_at(relforge, finished, path) -> None:
    rows = relforge("inspect", finished / path, "--json").json

    assert len(rows) == (17 if path == "boxes" else 8)


def test_a_shard_is_found_from_inside_its_folder(relforge, finished, monkeypatch) -> None:
    monkeypatch.chdir(finished / "relations")

    assert "subject" in relforge("inspect", "part-00001.parquet", "--json").json[0]


def test_uncommitted_data_does_not_count(relforge, finished) -> None:
    (finished / "_state" / "relations" / "part-00000.json").unlink()

    assert "00000" not in {
        row["image_id"] for row in relforge("inspect", finished / "relations", "--json").json
    }


def test_schema_and_statistics(relforge, finished) -> None:
    schema = {row["column"]: row["type"] for row in relforge("inspect", finished, "--schema", "--json").json}
    stats = relforge("inspect", finished, "--table", "boxes", "--stats", "--json").json

    assert schema["score"] == "float"
    assert next(row for row in stats if row["column_name"] == "w")["max"] == "5.0"


def test_a_sample_is_the_same_every_time(relforge, finished) -> None:
    once, again = (relforge("inspect", finished, "--sample", 3, "--json").json for _ in range(2))

    assert once == again
    assert len(once) == 3


def test_an_image_is_described_in_words(relforge, finished) -> None:
    said = relforge("inspect", finished, "--image", "00001")

    assert 'thing#0 near thing#1  1.00  (1 caption: "caption of 00001")' in said.out


def test_any_parquet_file_can_be_inspected(relforge, tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "loose.parquet")

    assert relforge("inspect", tmp_path / "loose.parquet", "--where", "a > 1", "--json").json == [
        {"a": 2, "b": "y"}
    ]


def test_a_run_on_another_file_system_is_read_the_same(relforge, config) -> None:
    folder = "memory://look/run"
    relforge("run", config, "--executor", "loop", f"run.folder={folder}")

    assert relforge("status", folder).code == 0
    assert len(relforge("inspect", folder, "--json", "--where", "true").json) == 7


def test_control_characters_of_the_data_do_not_reach_the_terminal(relforge, tmp_path: Path) -> None:
    import pyarrow as pa

    texts = ["a \x1b[31mred\x9b0m hat", "two\nlines"]
    pq.write_table(pa.table({"image_id": ["1", "2"], "category": texts}), tmp_path / "loose.parquet")

    said = relforge("inspect", tmp_path / "loose.parquet")

    assert r"a \x1b[31mred\x9b0m hat" in said.out
    assert r"two\nlines" in said.out
    assert not {"\x1b", "\x9b"} & set(said.out)
    assert len(said.out.splitlines()) == 4  # header, two rows, count


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("true -- x", "contains a comment"),
        ("true; COPY (SELECT 1) TO 'written.csv'; SELECT 1", "cannot be read"),
        ("  ", "the condition is empty"),
    ],
)
def test_a_condition_is_an_expression_and_nothing_else(
    relforge, finished, tmp_path, monkeypatch, condition: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)

    said = relforge("inspect", finished, "--table", "relations", "--where", condition, "--limit", "1")

    assert said.code == 64
    assert sentence in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "written.csv").exists()

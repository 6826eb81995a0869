"""What the database of reports may take."""

from __future__ import annotations

from pathlib import Path

import pytest

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

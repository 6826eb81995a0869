"""Images drawn in the database are those drawn from lists."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from relforge.reports.view.choose import choose, choose_rows


@pytest.mark.parametrize("count", [1, 5, 12])
def test_the_database_draws_the_same_images(count: int) -> None:
    images, told = [str(number) for number in range(40)], ["3", "17", "20", "29", "31", "x"]
    connection = duckdb.connect()
    connection.register("images", pa.table({"image_id": images}))
    connection.register("first", pa.table({"image_id": told[:3] * 2}))
    connection.register("second", pa.table({"image_id": told[2:]}))

    found = choose_rows(connection, "images", ["first", "second"], count)

    assert found == choose(images, told, count)

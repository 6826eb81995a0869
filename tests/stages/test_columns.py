"""Rows of several tables, found in each other by number."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from relforge.stages import columns
from relforge.stages.columns import find_last, number_rows


@pytest.mark.parametrize("most", [2**62, 7])  # so few numbers that they are counted anew between columns
def test_rows_have_the_same_number_where_all_columns_are_equal(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(columns, "_MAX_NUMBER", most)
    random = np.random.default_rng(1)
    rows = [
        [(str(image), int(box)) for image, box in random.integers(0, 6, (count, 2))] for count in (50, 0, 70)
    ]
    tables = [
        [
            pa.chunked_array([pa.array([row[0] for row in of], pa.string())]),
            pa.array([row[1] for row in of], kind),
        ]
        for of, kind in zip(rows, (pa.int32(), pa.int32(), pa.int64()), strict=True)
    ]

    first, none, second = number_rows(*tables)

    assert not len(none)
    same = np.array([[a == b for b in rows[2]] for a in rows[0]])
    assert ((first[:, None] == second) == same).all()


def test_the_last_of_equal_rows_is_found() -> None:
    found = find_last(np.array([3, 8, 1, 9]), np.array([1, 3, 1, 8]))

    assert found.tolist() == [1, 3, 2, -1]
    assert find_last(np.array([3]), np.array([], int)).tolist() == [-1]

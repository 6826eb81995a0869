"""Ids as codes."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.stages.ingest.ids import NONE, Ids, IdSet


@pytest.mark.parametrize("value", [0, 7, 2**63 - 1, 2**63, -4, "street/one", "007"])
def test_an_id_comes_back_as_the_text_it_was(value: object) -> None:
    ids = Ids()

    assert ids.text(ids.code(value)) == str(value)


def test_a_number_and_its_decimal_text_are_one_id() -> None:
    ids = Ids()

    assert ids.codes([139, "139", "0139", 139.0]).tolist() == [139, 139, -1, 139]


@pytest.mark.parametrize("value", [None, True, 1.5, float("nan"), 1e300, "", " ", ["a"]])
def test_what_is_neither_number_nor_text_is_no_id(value: object) -> None:
    assert Ids().code(value) == NONE
    assert Ids().text(NONE) == ""


def test_codes_that_were_added_are_found_however_many_times_some_were_added() -> None:
    seen = IdSet()
    for start in range(0, 1000, 10):
        seen.add(np.arange(start + 5, start, -1))
    seen.add(np.empty(0, np.int64))

    assert seen.has(np.array([1, 5, 6, 10, 991, 996, -3])).tolist() == [
        True,
        True,
        False,
        False,
        True,
        False,
        False,
    ]

"""What a value of a file is taken for, whatever its type."""

from __future__ import annotations

import pytest

from relforge.stages.ingest.values import (
    UNREADABLE,
    as_box_id,
    as_file_name,
    as_flag,
    as_number,
    as_pixels,
    as_text,
)

NAN, HALF_A_PAIR = float("nan"), "\ud800"


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "0", "false", "False", " no "])
def test_no_is_written_in_many_ways(value: object) -> None:
    assert as_flag(value) is False


@pytest.mark.parametrize("value", [True, 1, 2, -1, 0.5, "1", "true", " YES "])
def test_and_so_is_yes(value: object) -> None:
    assert as_flag(value) is True


@pytest.mark.parametrize("value", ["", "perhaps", "00", NAN, [], {}, ["true"]])
def test_anything_else_is_neither(value: object) -> None:
    assert as_flag(value) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (2.5, 2.5),
        (" 2.5 ", 2.5),
        ("-1e2", -100.0),
        (".5", 0.5),
        ("0x10", None),
        ("1_000", None),
        ("nan", None),
        ("infinity", None),
        ("\u0663", None),  # a digit, but no decimal of a data set
        ("1" * 400, None),
        (10**400, None),
        (True, None),
        (None, None),
    ],
)
def test_a_number_may_be_a_text_in_decimal(value: object, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("value", "pixels"),
    [(640, 640), ("640", 640), (640.9, 640), (0, 0), (-5, 0), (NAN, 0), (2**31, 0), (None, 0), ("wide", 0)],
)
def test_a_size_is_a_positive_number_of_pixels(value: object, pixels: int) -> None:
    assert as_pixels(value) == pixels


@pytest.mark.parametrize(
    ("value", "box_id"),
    [(0, 0), ("7", 7), (7.0, 7), (7.5, -1), (-1, -1), (2**31, -1), (True, -1), (None, -1)],
)
def test_a_box_id_is_a_number_of_a_table(value: object, box_id: int) -> None:
    assert as_box_id(value) == box_id


def test_half_a_surrogate_pair_is_no_text_and_no_name() -> None:
    assert as_text("caf\u00e9") == "caf\u00e9"
    assert as_text(HALF_A_PAIR) is None
    assert as_text(7) is None
    assert as_file_name("a/7.jpg") == "a/7.jpg"
    assert as_file_name(None) is None
    assert as_file_name(HALF_A_PAIR) == as_file_name("a\0b") == as_file_name(7) == UNREADABLE

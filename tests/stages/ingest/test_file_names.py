"""Which file names differ in folder, case or extension alone."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.ingest.file_names import find_shared_names


def test_names_that_differ_in_folder_case_or_extension_are_shared() -> None:
    names = pa.array(["a/7.jpg", "b/7.JPG", "c/7.png", "a/8.jpg", None])

    assert find_shared_names(names).to_pylist() == [True, True, True, False, None]


def test_records_of_one_file_share_nothing() -> None:
    assert find_shared_names(pa.array(["a/7.jpg", "a/7.jpg"])).to_pylist() == [False, False]


def test_a_backslash_is_a_folder_too() -> None:
    assert find_shared_names(pa.array(["a\\7.jpg", "b/7.jpg"])).to_pylist() == [True, True]

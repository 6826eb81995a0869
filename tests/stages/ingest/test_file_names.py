"""Which file names differ in folder, case or extension alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from relforge.stages.ingest.file_names import find_shared_names
from relforge.stages.registry import build_source


def test_names_that_differ_in_folder_case_or_extension_are_shared() -> None:
    names = pa.array(["a/7.jpg", "b/7.JPG", "c/7.png", "a/8.jpg", None])

    assert find_shared_names(names).to_pylist() == [True, True, True, False, None]


def test_records_of_one_file_share_nothing() -> None:
    assert find_shared_names(pa.array(["a/7.jpg", "a/7.jpg"])).to_pylist() == [False, False]


def test_a_backslash_is_a_folder_too() -> None:
    assert find_shared_names(pa.array(["a\\7.jpg", "b/7.jpg"])).to_pylist() == [True, True]


def test_ingest_writes_them_for_all_images_of_a_file_whatever_the_shard(tmp_path: Path) -> None:
    names = ["a/7.jpg", "a/8.jpg", "b/7.jpg"]
    images = [{"id": k, "file_name": name, "width": 9, "height": 9} for k, name in enumerate(names)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))

    shards = build_source("coco", annotations=str(tmp_path / "a.json")).shards(1)

    found = [shard.tables["images"]["shared_name"].to_pylist() for shard in shards]
    assert found == [[True], [False], [True]]

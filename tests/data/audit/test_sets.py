"""What a set may be given as: lists of every benchmark, folders, both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from relforge.data.audit.sets import read_coco_ids, read_set


def known(format: str, *paths: Path, coco_ids: dict[int, int] | None = None) -> list[set[str]]:
    return [set(one.known) for one in read_set(format, [str(path) for path in paths], coco_ids)]


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("coco", {"images": [{"id": 42, "file_name": "000000000042.jpg"}]}),
        ("vcoco", [42]),
        ("vcoco", [{"file_name": "COCO_val2014_000000000042.jpg", "img_id": 0}]),
        ("", [{"file_name": "COCO_val2014_000000000042.jpg", "annotations": []}]),
    ],
)
def test_json_lists_name_images_of_coco(format: str, content: Any, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(content))
    assert known(format, path) == [{"coco:42"}]


def test_visual_genome_is_known_by_coco_s_numbers_too(tmp_path: Path) -> None:
    data = tmp_path / "image_data.json"
    data.write_text(json.dumps([{"image_id": 7, "coco_id": 42}, {"image_id": 8, "coco_id": None}]))
    numbers = read_coco_ids(str(data))

    assert known("vg150", data, coco_ids=numbers) == [{"visual_genome:7", "coco:42"}, {"visual_genome:8"}]


def test_text_and_csv(tmp_path: Path) -> None:
    (tmp_path / "vcoco_test.ids").write_text("42\n43\n")
    (tmp_path / "test.csv").write_text("ImageID,LabelName1\n0a1b2c3d4e5f6789,/m/1\n0a1b2c3d4e5f6789,/m/2\n")

    assert known("vcoco", tmp_path / "vcoco_test.ids") == [{"coco:42"}, {"coco:43"}]
    assert known("open_images", tmp_path / "test.csv") == [{"open_images:0a1b2c3d4e5f6789"}]


def test_a_list_says_which_files_of_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "val2014").mkdir()
    for number in (42, 43):
        Image.new("RGB", (8, 8)).save(tmp_path / "val2014" / f"COCO_val2014_{number:012}.jpg")
    (tmp_path / "vcoco_test.ids").write_text("42\n44\n")

    found = read_set("vcoco", [str(tmp_path / "vcoco_test.ids"), str(tmp_path / "val2014")])

    assert [(set(one.known), one.uri and Path(one.uri).name) for one in found] == [
        ({"coco:42"}, "COCO_val2014_000000000042.jpg"),
        ({"coco:44"}, None),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{}", "no list of images"),
        ("a.json", "[{}]", "neither file_name nor id"),
        ("a.csv", "id\n1\n", "no column ImageID"),
        ("a.parquet", "x", "not a folder, a run or a list of images"),
        ("a.txt", "", "no image is listed there"),
    ],
)
def test_what_is_no_list_is_said_with_the_file(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        read_set("coco", [str(tmp_path / name)])

"""Where image files are searched, and what happens to images whose file is not usable."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from relforge.images import MAX_PIXELS
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.registry import build_source


@pytest.mark.parametrize(
    ("root", "uri"),
    [
        (None, None),
        ("photos", "photos/a/7.jpg"),
        ("s3://bucket/photos/", "s3://bucket/photos/a/7.jpg"),
        ("photos/{split}", "photos/val/a/7.jpg"),
        ("{split}/{image_id:0>12}.jpg", "val/000000000007.jpg"),
    ],
)
def test_a_folder_or_a_pattern_says_where_the_file_is(root, uri):
    assert ImageFiles(root).uri("7", "a/7.jpg", "val") == uri


def test_an_image_without_a_known_file_name_has_no_uri():
    assert ImageFiles("photos").uri("7", None, "val") is None


WRONG = [
    ({"root": "{id}.jpg"}, "unknown"),
    ({"root": None, "require": True}, "need"),
    ({"root": "photos", "orientation": "sideways"}, "choose stored or upright"),
    ({"root": "photos", "max_pixels": 0}, "choose 1 to"),
    ({"root": "photos", "max_pixels": 2 * MAX_PIXELS + 1}, "choose 1 to"),
]


@pytest.mark.parametrize(("options", "says"), WRONG)
def test_a_wrong_setting_is_one_sentence(options, says):
    with pytest.raises(ValueError, match=says):
        ImageFiles(**options)


@pytest.mark.parametrize("root", ["photos", "s3://bucket/photos", "s3://bucket/{split}/{file_name}"])
@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("7.jpg", False),
        ("a/b..c/7..jpg", False),
        ("../7.jpg", True),
        ("a/../../7.jpg", True),
        ("a/..", True),
        ("/etc/7.jpg", True),
        ("s3://other/7.jpg", True),
        ("7.jpg::file:///etc/7.jpg", True),
        ("zip::7.jpg", True),
    ],
)
def test_a_name_that_is_not_simply_below_the_folder_is_outside(root: str, name: str, outside: bool) -> None:
    names = pa.array(["7"]), pa.array([name])

    assert ImageFiles(root).find_outside(*names, "val").tolist() == [outside]
    assert ImageFiles(root, follow_links=True).find_outside(*names, "val").tolist() == [False]


@pytest.mark.parametrize("name", ["/data/7.jpg", "s3://other/7.jpg"])
def test_where_links_are_followed_a_whole_name_is_the_file_itself(name: str) -> None:
    assert ImageFiles("photos", follow_links=True).uri("7", name, "val") == name
    assert ImageFiles("photos/{image_id}.jpg", follow_links=True).uri("7", name, "val") == "photos/7.jpg"


def test_a_folder_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    for folder in ("photos", "photos_of_others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "7.jpg").touch()
    (tmp_path / "photos" / "link.jpg").symlink_to("../photos_of_others/7.jpg")
    (tmp_path / "photos" / "own.jpg").symlink_to("7.jpg")

    files = ImageFiles(str(tmp_path / "photos"))
    outside = files.find_outside(pa.array(["1", "2"]), pa.array(["link.jpg", "own.jpg"]), "val")

    assert outside.tolist() == [True, False]


def encoded(width: int, height: int, kind: str = "JPEG", **options: object) -> bytes:
    data = io.BytesIO()
    Image.effect_noise((width, height), 50).convert("RGB").save(data, kind, **options)
    return data.getvalue()


def turned(width: int, height: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(height, width, exif=exif)


FAULTS = {
    "good.jpg": (encoded(40, 30), None),
    "png_inside.jpg": (encoded(40, 30, "PNG"), None),
    "turned.jpg": (turned(40, 30), None),
    "zero.jpg": (b"", "empty_file"),
    "cut.jpg": (encoded(40, 30)[:-200], "truncated"),
    "text.jpg": (b"not an image at all", "not_an_image"),
    "other_size.jpg": (encoded(41, 30), "image_size_mismatch"),
    "absent.jpg": (None, "missing_file"),
}


def source(tmp_path: Path, **options: object):
    images = []
    for k, (name, (data, _)) in enumerate(FAULTS.items()):
        images.append({"id": k, "file_name": name, "width": 40, "height": 30})
        if data is not None:
            (tmp_path / name).write_bytes(data)
    boxes = [{"id": k, "image_id": k, "category_id": 1, "bbox": [1, 1, 9, 9]} for k in range(len(FAULTS))]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    return build_source("coco", annotations=str(tmp_path / "a.json"), images=str(tmp_path), **options)


def test_image_files_are_not_opened_unless_they_are_required(tmp_path):
    [shard] = source(tmp_path).shards(99)

    assert shard.tables["images"].num_rows == len(FAULTS)
    assert not shard.quarantined


def test_required_images_are_decoded_and_bad_ones_set_aside_with_their_boxes_counted(tmp_path):
    [shard] = source(tmp_path, require_images=True).shards(99)

    expected = {str(k): reason for k, (_, reason) in enumerate(FAULTS.values()) if reason}
    assert {q.record["image_id"]: q.reason for q in shard.quarantined} == expected
    assert shard.tables["boxes"].num_rows == len(FAULTS) - len(expected)
    assert shard.dropped == {"image_set_aside": len(expected)}


def test_the_option_says_which_way_up_an_image_needs_its_size(tmp_path: Path) -> None:
    [shard] = source(tmp_path, require_images=True, orientation="stored").shards(99)

    turned_id = str(list(FAULTS).index("turned.jpg"))
    assert {q.record["image_id"]: q.reason for q in shard.quarantined}[turned_id] == "image_size_mismatch"


def test_a_limit_of_pixels_holds_for_required_images(tmp_path: Path) -> None:
    [shard] = source(tmp_path, require_images=True, max_pixels=40 * 30).shards(99)

    too_large = str(list(FAULTS).index("other_size.jpg"))
    assert [q.record["image_id"] for q in shard.quarantined if q.reason == "too_large"] == [too_large]


def test_embedded_images_are_the_files_bytes(tmp_path):
    [shard] = source(tmp_path, embed_images=True).shards(99)

    assert shard.tables["images"]["bytes"].to_pylist()[0] == FAULTS["good.jpg"][0]

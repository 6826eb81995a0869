"""Which image files every dataset adapter reads, and which it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.adapters import Open, jpeg, read, reasons, rows, usable_images
from tests.fixtures.datasets import FORMATS, OWN, Box, Image


@pytest.mark.parametrize("name", FORMATS)
def test_required_images_are_read_and_an_image_without_file_is_set_aside(
    name: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Objects365 has a folder for each split, and a Parquet file has URIs of its own
    folder = tmp_path / "images" / "all"
    folder.mkdir(parents=True)
    (folder / "7.jpg").write_bytes(jpeg(100, 80))
    (folder / "8.jpg").write_bytes(jpeg(80, 80))
    monkeypatch.chdir(folder)
    where = {"objects365": {"images": str(folder.parent), "split": "all"}, "parquet": {}}
    options = where.get(name, {"images": str(folder)})

    [shard] = read(opened(name, [Image(7, boxes=[Box()]), Image(8), Image(9)], embed_images=True, **options))

    assert reasons(shard) == {"image_size_mismatch": 1, "missing_file": 1}
    assert rows(shard, "images", "image_id", "bytes") == [("7", jpeg(100, 80))]


@pytest.mark.parametrize("name", FORMATS)
def test_no_image_is_read_unless_images_are_required(name: str, opened: Open, tmp_path: Path) -> None:
    options = {} if name == "parquet" else {"images": str(tmp_path / "nowhere")}

    [shard] = read(opened(name, usable_images(), **options))

    assert reasons(shard) == {}
    assert all(uri.endswith(".jpg") for (uri,) in rows(shard, "images", "uri"))


def in_images(name: str, folder: Path) -> dict[str, Any]:
    """The options that make a format look for its image files in a folder, whatever it adds to it."""
    return {"images": f"{folder}/{{file_name}}" if name == "objects365" else str(folder)}


BY_NAME = [name for name in FORMATS if name != "parquet"]
"""Formats whose files have names; a Parquet file has URIs."""


OWN_FILES = [name for name in BY_NAME if name != OWN]
"""Those that take `follow_links`."""


@pytest.mark.parametrize("name", BY_NAME)
def test_an_image_outside_the_images_folder_is_set_aside(name: str, opened: Open, tmp_path: Path) -> None:
    [shard] = read(opened(name, [Image("../7"), Image("8")], **in_images(name, tmp_path / "pics")))

    assert reasons(shard) == {"path_outside_images": 1}
    assert rows(shard, "images", "image_id") == [("8",)]


@pytest.mark.parametrize("name", OWN_FILES)
def test_an_image_outside_is_used_where_links_are_followed(name: str, opened: Open, tmp_path: Path) -> None:
    options = in_images(name, tmp_path / "pics") | {"follow_links": True}

    [shard] = read(opened(name, [Image("../7")], **options))

    assert rows(shard, "images", "uri") == [(f"{tmp_path}/pics/../7.jpg",)]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_link_that_leaves_the_images_folder_is_set_aside(name: str, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "secret.jpg").write_bytes(jpeg(100, 80))
    (tmp_path / "pics" / "7.jpg").symlink_to("../secret.jpg")
    (tmp_path / "pics" / "8.jpg").write_bytes(jpeg(100, 80))
    (tmp_path / "pics" / "9.jpg").symlink_to("8.jpg")
    (tmp_path / "pics" / "linked").symlink_to("..")

    images = [Image(7), Image(8), Image(9), Image("linked/secret")]
    [shard] = read(opened(name, images, **in_images(name, tmp_path / "pics")))

    assert reasons(shard) == {"path_outside_images": 2}
    assert rows(shard, "images", "image_id") == [("8",), ("9",)]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_plain_file_is_no_image(
    name: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pics"
    folder.mkdir()
    monkeypatch.chdir(folder)
    os.mkfifo("7.jpg")
    Path("8.jpg").symlink_to("8.jpg")
    Path("9.jpg").mkdir()
    options = {} if name == "parquet" else in_images(name, folder)

    [shard] = read(opened(name, [Image(7), Image(8), Image(9)], require_images=True, **options))

    assert reasons(shard) == {"not_a_file": 1, "missing_file": 2}

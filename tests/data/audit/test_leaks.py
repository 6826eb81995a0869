"""Planted leaks are found: the same image as it is, encoded again, resized, mirrored, cropped; no other."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from relforge.data.audit.leaks import find_leaks
from relforge.data.audit.sets import read_set
from relforge.demo.world.dataset import write_split

PLANTED = 4
"""Of each kind."""


def cropped(image: Image.Image, left: float, upper: float, right: float, lower: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (
            round(left * width),
            round(upper * height),
            round(width - right * width),
            round(height - lower * height),
        )
    )


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


KINDS: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "encoded again": ("same image", lambda image: image),
    "half the size": ("same image", lambda image: image.resize((image.width // 2, image.height // 2))),
    "twice the size": ("same image", lambda image: image.resize((image.width * 2, image.height * 2))),
    "turned round": ("mirrored", mirrored),
    "cropped left": ("cropped", lambda image: cropped(image, 0.05, 0, 0, 0)),
    "cropped corner": ("cropped", lambda image: cropped(image, 0, 0.05, 0.05, 0)),
    "cropped all round": ("cropped", lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05)),
    "cropped and turned": ("cropped", lambda image: mirrored(cropped(image, 0, 0, 0, 0.05))),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that a benchmark measures on."""
    folder = tmp_path_factory.mktemp("world")
    return write_split(folder, "hoi", PLANTED * (len(KINDS) + 1), 5, 128) / "images"


@pytest.fixture(scope="module")
def labelled(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of another draw, with leaks of every kind among them."""
    folder = tmp_path_factory.mktemp("labelled")
    images = folder / "images"
    (write_split(folder / "drawn", "detection", 100, 9, 128) / "images").rename(images)
    for row, path in enumerate(sorted(measured.iterdir())):
        kind = row // PLANTED
        if kind == len(KINDS):
            (images / f"copy-{row:03}.jpg").write_bytes(path.read_bytes())
            continue
        name, (_, change) = list(KINDS.items())[kind]
        held = io.BytesIO()
        change(Image.open(path).convert("RGB")).save(held, "JPEG", quality=60)
        (images / f"{name} {path.stem}.jpg").write_bytes(held.getvalue())
    return images


def test_every_planted_leak_is_found_and_no_other(measured: Path, labelled: Path) -> None:
    ours, theirs = read_set("", [str(labelled)]), read_set("", [str(measured)])

    found = find_leaks(ours, {"test": theirs})

    assert found.compared == {"test": (len(theirs), len(theirs))}
    assert len(ours) == 100 + len(theirs)
    by_image = {leak.image_id: leak for leak in found.leaks}
    assert len(by_image) == len(found.leaks) == len(theirs)  # none of the hundred others
    for image_id, leak in by_image.items():
        if image_id.startswith("copy"):
            assert leak.how == "same bytes"
            continue
        name, _, stem = image_id.removesuffix(".jpg").rpartition(" ")
        assert (leak.how, Path(leak.other).stem) == (KINDS[name][0], stem)


def test_a_common_file_name_is_no_leak_where_the_images_differ(tmp_path: Path, measured: Path) -> None:
    first, second, *_ = sorted(measured.iterdir())
    for folder, path in (("a", first), ("b", second)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").write_bytes(path.read_bytes())
    ours, theirs = read_set("", [str(tmp_path / "a")]), read_set("", [str(tmp_path / "b")])

    assert find_leaks(ours, {"b": theirs}).leaks == []
    assert [leak.how for leak in find_leaks(ours, {"b": theirs}, content=False).leaks] == ["same id"]


def test_images_that_cannot_be_read_are_counted(tmp_path: Path, measured: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.jpg").write_bytes(b"no image")

    found = find_leaks(read_set("", [str(tmp_path / "a")]), {"test": read_set("", [str(measured)])})

    assert found.unread == {"not_an_image": 1}

"""Images inside the page."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relforge.reports.view.thumbnail import encode_thumbnail
from tests.images.drawn import HEIGHT, WIDTH, postscript, tagged_jpeg


def png(width: int, height: int) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(packed, "PNG")
    return packed.getvalue()


def test_a_large_image_is_scaled_down_and_keeps_its_shape() -> None:
    packed, why = encode_thumbnail(None, png(1280, 720), (1280, 720))

    assert why == ""
    image = opened(packed)
    assert (image.format, image.size) == ("JPEG", (640, 360))


def test_an_image_that_cannot_be_read_gives_the_reason(tmp_path: Path) -> None:
    packed, reason = encode_thumbnail(str(tmp_path / "gone.jpg"), None, (4, 4))

    assert packed is None
    assert str(tmp_path / "gone.jpg") in reason
    assert encode_thumbnail(None, b"not an image", (4, 4))[0] is None


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1)])
def test_strips_keep_a_pixel_of_their_shorter_side(size: tuple[int, int]) -> None:
    assert min(opened(encode_thumbnail(None, png(*size), size)[0]).size) == 1


def test_an_image_is_turned_as_its_boxes_are() -> None:
    data = tagged_jpeg("far", 3)
    ways = [
        encode_thumbnail(None, data, (WIDTH, HEIGHT), orientation=one)[0] for one in ("stored", "upright")
    ]
    left_ends = [np.asarray(opened(packed))[0, 0] for packed in ways]
    assert left_ends[0][0] < 60 < left_ends[1][0]  # red grows rightwards in the stored image


def test_what_the_stages_set_aside_is_not_shown_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    said = [
        encode_thumbnail(str(tmp_path / "fifo.jpg"), None, (4, 4)),
        encode_thumbnail(None, png(40, 40), (40, 40), max_pixels=100),
        encode_thumbnail(None, png(40, 40), (40, 20)),
        encode_thumbnail(None, postscript(), (48, 32)),
    ]
    assert [packed for packed, _ in said] == [None] * 4
    words = ["FIFO", "limit is 100", "annotation says 40 x 20", "no image of a format"]
    assert all(word in reason for word, (_, reason) in zip(words, said, strict=True))


def opened(packed: str | None) -> Image.Image:
    assert packed is not None
    return Image.open(io.BytesIO(base64.b64decode(packed.partition(",")[2])))

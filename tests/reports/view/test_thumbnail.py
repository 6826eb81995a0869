"""Images inside the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from relforge.reports.view.thumbnail import encode_thumbnail


def png(width: int, height: int) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(packed, "PNG")
    return packed.getvalue()


def test_a_large_image_is_scaled_down_and_keeps_its_shape() -> None:
    packed, why = encode_thumbnail(None, png(1280, 720), (1280, 720))

    assert packed is not None
    assert why == ""
    image = Image.open(io.BytesIO(base64.b64decode(packed.partition(",")[2])))
    assert (image.format, image.size) == ("JPEG", (640, 360))


def test_an_image_that_cannot_be_read_gives_the_reason(tmp_path: Path) -> None:
    packed, reason = encode_thumbnail(str(tmp_path / "gone.jpg"), None, (4, 4))

    assert packed is None
    assert str(tmp_path / "gone.jpg") in reason
    assert encode_thumbnail(None, b"not an image", (4, 4))[0] is None

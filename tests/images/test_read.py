"""Bytes come from the row, a path or a URI; only the image's own faults are image errors."""

from __future__ import annotations

import pickle
from pathlib import Path

import fsspec
import pytest

from relforge.images import ImageError, read


def reason(uri: str | None, embedded: bytes | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read(uri, embedded)
    return caught.value.reason


def test_embedded_bytes_win_over_the_uri() -> None:
    assert read("/nowhere.jpg", b"abc") == b"abc"


def test_a_path_and_a_uri_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    with fsspec.open("memory://images/a.jpg", "wb") as file:
        file.write(b"def")
    assert read(str(tmp_path / "a.jpg")) == b"abc"
    assert read(f"file://{tmp_path}/a.jpg") == b"abc"
    assert read("memory://images/a.jpg") == b"def"


def test_absent_and_empty_images_have_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert reason(None) == "no_image"
    assert reason(str(tmp_path / "absent.jpg")) == "missing_file"
    assert reason("memory://images/absent.jpg") == "missing_file"
    assert reason(str(tmp_path)) == "missing_file"
    assert reason(str(tmp_path / "empty.jpg")) == "empty_file"
    assert reason(None, b"") == "empty_file"


def test_an_image_error_survives_the_trip_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("truncated", "cut at byte 7")))
    assert (error.reason, error.detail) == ("truncated", "cut at byte 7")

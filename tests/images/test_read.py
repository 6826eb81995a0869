"""Bytes come from the row, a path or a URI; only the image's own faults are image errors."""

from __future__ import annotations

import os
import pickle
import socket
import threading
from importlib import import_module
from pathlib import Path

import fsspec
import pytest

from relforge.images import ImageError, read

READING = import_module("relforge.images.read")  # whose name the function has too


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Names that are no image files."""
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "to_fifo.jpg").symlink_to(tmp_path / "fifo.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    (tmp_path / "terminal.jpg").symlink_to("/dev/tty")
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "absent.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "socket.jpg"))
    return tmp_path


@pytest.mark.parametrize("scheme", ["", "file://", "local://"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("fifo.jpg", "not_a_file"),
        ("to_fifo.jpg", "not_a_file"),
        ("endless.jpg", "not_a_file"),
        ("terminal.jpg", "not_a_file"),
        ("socket.jpg", "not_a_file"),
        ("itself.jpg", "missing_file"),
        ("nowhere.jpg", "missing_file"),
        ("folder.jpg", "missing_file"),
        ("nul\0.jpg", "bad_file_name"),
        ("half\ud800.jpg", "bad_file_name"),
        ("long" * 100 + ".jpg", "bad_file_name"),
        ("long/" * 1000 + "a.jpg", "bad_file_name"),
    ],
    ids=lambda text: text.encode("ascii", "backslashreplace").decode().replace("\0", "0")[:20],
)
def test_what_is_no_regular_file_is_never_opened(folder: Path, scheme: str, name: str, code: str) -> None:
    codes: list[str] = []
    # in a thread that the test does not wait for: opening a FIFO waits without end
    reader = threading.Thread(target=lambda: codes.append(reason(f"{scheme}{folder}/{name}")), daemon=True)
    reader.start()
    reader.join(20)
    assert codes == [code]


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    assert read(str(tmp_path / "link.jpg")) == b"abc"


def test_a_name_with_a_scheme_inside_is_a_name(tmp_path: Path) -> None:
    assert reason(f"{tmp_path}/s3://bucket/a.jpg") == "missing_file"
    assert reason("never-heard-of://a.jpg") == "bad_file_name"


def test_a_file_beyond_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(1 << 40)
    assert reason(str(tmp_path / "huge.jpg")) == "too_large"


def test_a_remote_image_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(READING, "MAX_BYTES", 3)
    with fsspec.open("memory://images/four.jpg", "wb") as file:
        file.write(b"abcd")
    with fsspec.open("memory://images/three.jpg", "wb") as file:
        file.write(b"abc")

    assert reason("memory://images/four.jpg") == "too_large"
    assert read("memory://images/three.jpg") == b"abc"


def test_a_file_that_becomes_a_fifo_before_it_is_opened_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.jpg").write_bytes(b"abc")
    before = os.stat(folder / "a.jpg")
    fifo, codes = str(folder / "fifo.jpg"), []
    reader = threading.Thread(target=lambda: codes.append(reason(fifo)), daemon=True)

    with monkeypatch.context() as replaced:
        replaced.setattr(os, "stat", lambda path: before)
        reader.start()
        reader.join(20)

    assert codes == ["not_a_file"]


def test_errors_can_be_printed_and_stored(folder: Path) -> None:
    for name in ("nul\0.jpg", "half\ud800.jpg", "long" * 5000):
        with pytest.raises(ImageError) as caught:
            read(f"{folder}/{name}")
        assert "\0" not in caught.value.detail
        assert len(caught.value.detail.encode()) < 1000


def test_an_image_error_survives_the_trip_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("truncated", "cut at byte 7")))
    assert (error.reason, error.detail) == ("truncated", "cut at byte 7")

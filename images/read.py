"""The encoded bytes of an image, from the table row, a path or a URI."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from relforge.images.error import ImageError

MAX_BYTES = 1 << 30
"""Of an encoded image; more is refused unread."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z][A-Za-z0-9+.-]*)*://")
_NO_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
_LOCAL = re.compile(r"(file|local)://")


def read(uri: str | None, embedded: bytes | None = None) -> bytes:
    """Bytes of one image: those in the row where they are embedded, else what the URI names.

    Of local files only regular ones are opened: a FIFO would wait for a writer, and a device may never end.

    Args:
        uri: local path, `file://` or any URI fsspec opens (`s3://bucket/key`, `https://...`).
        embedded: the encoded image itself, which takes precedence over `uri`.

    Raises:
        ImageError: there is no image (`no_image`), no such file (`missing_file`), a name that no file can
            have (`bad_file_name`), something else than a file (`not_a_file`), an empty file (`empty_file`) or
            more than `MAX_BYTES` (`too_large`).
        OSError: anything else (permissions, network): not the image's fault, so the shard is retried.
    """
    if embedded is not None:
        data = bytes(embedded)
    elif uri is None:
        raise ImageError("no_image", "the row has neither a uri nor embedded bytes")
    else:
        data = _fetch(uri)
    if not data:
        raise ImageError("empty_file", f"the image {_shown(uri) if uri else '(embedded)'} has zero bytes")
    return data


def open_local(uri: str) -> BinaryIO | None:
    """The opened file behind a path or `file://` URI, for reading its beginning; None for a URI elsewhere.

    Raises:
        ImageError, OSError: as `read`.
    """
    path = _local_path(uri)
    if path is None:
        return None
    with _explained(uri):
        return _open_regular(path)


def _fetch(uri: str) -> bytes:
    path = _local_path(uri)
    with _explained(uri):
        if path is None:
            return _read_remote(uri)
        with _open_regular(path) as file:
            return file.read() or b""


def _local_path(uri: str) -> str | None:
    """Path of a local file; None for a URI elsewhere."""
    if not _URI.match(uri):
        return os.path.expanduser(uri)
    local = _LOCAL.match(uri)
    return uri[local.end() :] if local else None


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """What is the image's fault as an `ImageError`."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ImageError("missing_file", f"no image file at {_shown(uri)}") from error
    except ValueError as error:  # a NUL, half a surrogate pair, or a scheme that fsspec does not have
        raise ImageError("bad_file_name", f"no file can be at {_shown(uri)}: {error}") from error
    except OSError as error:
        if error.errno in _NO_NAME:
            raise ImageError("bad_file_name", f"no file can be at {_shown(uri)}: {error.strerror}") from error
        if error.errno == errno.ELOOP:
            raise ImageError("missing_file", f"the links at {_shown(uri)} lead to no file") from error
        raise


def _open_regular(path: str) -> BinaryIO:
    _check_regular(os.stat(path), path)  # before it is opened: opening some devices has effects
    # without waiting, should something else have taken its place
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(number), path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check_regular(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(found.st_mode):
        raise ImageError("not_a_file", f"{path} is a FIFO, socket or device; only files are read")
    _check_length(found.st_size, path)


def _read_remote(uri: str) -> bytes:
    import fsspec  # here, so that local images need no fsspec

    with fsspec.open(uri, "rb") as file:
        data: bytes = file.read(MAX_BYTES + 1)
    _check_length(len(data), uri)
    return data


def _check_length(length: int, uri: str) -> None:
    if length > MAX_BYTES:
        raise ImageError("too_large", f"{_shown(uri)} has over {MAX_BYTES} bytes")


def _shown(uri: str) -> str:
    """The name as an error can carry it: any text that is not too long."""
    safe = uri.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return safe if len(safe) <= 300 else f"{safe[:200]}...{safe[-60:]}"

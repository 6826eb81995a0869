"""The encoded bytes of an image, from the table row, a path or a URI."""

from __future__ import annotations

import os

from relforge.images.error import ImageError


def read(uri: str | None, embedded: bytes | None = None) -> bytes:
    """Bytes of one image: those in the row where they are embedded, else what the URI names.

    Args:
        uri: local path, `file://` or any URI fsspec opens (`s3://bucket/key`, `https://...`).
        embedded: the encoded image itself, which takes precedence over `uri`.

    Raises:
        ImageError: there is no image, no such file, or the file is empty.
        OSError: anything else (permissions, network): not the image's fault, so the shard is retried.
    """
    if embedded is not None:
        data = bytes(embedded)
    elif uri is None:
        raise ImageError("no_image", "the row has neither a uri nor embedded bytes")
    else:
        try:
            data = _fetch(uri)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ImageError("missing_file", f"no image file at {uri}") from error
    if not data:
        raise ImageError("empty_file", f"the image {uri or '(embedded)'} has zero bytes")
    return data


def _fetch(uri: str) -> bytes:
    if "://" not in uri:
        with open(os.path.expanduser(uri), "rb") as file:
            return file.read()
    import fsspec  # here, so that local images need no fsspec

    with fsspec.open(uri, "rb") as file:
        data: bytes = file.read()
    return data

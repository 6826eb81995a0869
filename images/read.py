"""The encoded bytes of an image, from the table row, a path or a URI."""

from __future__ import annotations

import errno
import os
import stat

from relforge.images.error import ImageError

_NO_SUCH_NAME = (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def read(uri: str | None, embedded: bytes | None = None) -> bytes:
    """Bytes of one image: those in the row where they are embedded, else what the URI names.

    Args:
        uri: local path, `file://` or any URI fsspec opens (`s3://bucket/key`, `https://...`).
        embedded: the encoded image itself, which takes precedence over `uri`.

    Raises:
        ImageError: there is no image, no such file, what is there is no plain file (a pipe, a device), or the
            file is empty.
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
        except OSError as error:
            if error.errno not in _NO_SUCH_NAME:
                raise
            raise ImageError("missing_file", f"no image file at {uri} ({error.strerror})") from error
        except ValueError as error:  # a NUL in the name, an unknown scheme
            raise ImageError("missing_file", f"no image file at {uri} ({error})") from error
    if not data:
        raise ImageError("empty_file", f"the image {uri or '(embedded)'} has zero bytes")
    return data


def _fetch(uri: str) -> bytes:
    if uri.startswith("file:///"):
        uri = uri.removeprefix("file://")
    if "://" not in uri:
        path = os.path.expanduser(uri)
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            # opening a pipe waits for a writer, and some devices never end
            raise ImageError("not_a_file", f"{uri} is a pipe or a device; an image is a plain file")
        with open(path, "rb") as file:
            return file.read()
    import fsspec  # here, so that local images need no fsspec

    with fsspec.open(uri, "rb") as file:
        data: bytes = file.read()
    return data

"""The size of an image, from its header alone."""

from __future__ import annotations

import io
import os

from relforge.images.decode import open_header
from relforge.images.error import ImageError
from relforge.images.read import open_local, read


def read_size(uri: str) -> tuple[int, int]:
    """(width, height) in pixels as stored, of a local file without reading all of it.

    Raises:
        ImageError: there is no such file, or it is no image of a format that is read.
        OSError: the storage fails.
    """
    local = open_local(uri)
    if local is None:
        return open_header(io.BytesIO(read(uri))).size
    with local as file:
        if not os.fstat(file.fileno()).st_size:
            raise ImageError("empty_file", f"the image {uri} has zero bytes")
        return open_header(file).size

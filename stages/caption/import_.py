"""Captions made elsewhere, from a JSON file."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.caption.files import CaptionFile, read_caption_file
from relforge.stages.caption.given import GivenCaptions

_EXPECTED = (
    'caption file: expected {"image id or file name": ["caption", ...]}, [{"image_id": 1, "caption": "..."}] '
    "or such records one a line"
)


def import_captions(
    files: str | Sequence[str], source: str = "import", limit: int | None = None
) -> GivenCaptions:
    """Captions in the layouts that captioning tools write.

    `{key: [caption, ...]}` (or one caption as text), where the key is an image id or a file name;
    `[{"image_id": ..., "caption": ...}, ...]` (`file_name` will do for `image_id`); the same records one a
    line; COCO Captions files.

    Args:
        files: path or URI of a caption file, or several; an image's captions are joined in this order.
        source: written to the `captions` table: the model that wrote them, where known.
        limit: captions kept per image, the first ones; None for all.
    """
    return GivenCaptions(files, source, read_captions, limit)


def read_captions(path: str) -> CaptionFile:
    """The captions of a file, in file order.

    Raises:
        ValueError: the file has no such layout.
    """
    return read_caption_file(path, "any", _EXPECTED)

"""Captions made elsewhere, from a JSON file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import fsspec
import msgspec

from relforge.stages.caption.given import GivenCaptions


class _Row(msgspec.Struct, gc=False):
    image_id: int | str
    caption: str


_LAYOUTS = dict[str, list[str] | str] | list[_Row]


def import_captions(
    files: str | Sequence[str], source: str = "import", limit: int | None = None
) -> GivenCaptions:
    """Captions in either layout captioning tools write.

    `{key: [caption, ...]}` (or one caption as text), where the key is an image id or a file name, and
    `[{"image_id": ..., "caption": ...}, ...]`.

    Args:
        files: path or URI of a caption file, or several; an image's captions are joined in this order.
        source: written to the `captions` table: the model that wrote them, where known.
        limit: captions kept per image, the first ones; None for all.
    """
    return GivenCaptions(files, source, read_captions, limit)


def read_captions(path: str) -> Iterator[tuple[str, str]]:
    """(image id or file name, caption), in file order.

    Raises:
        ValueError: the file has neither layout.
    """
    with fsspec.open(path, "rb") as file:
        content = file.read()
    try:
        found = msgspec.json.decode(content, type=_LAYOUTS)
    except msgspec.DecodeError as error:
        raise ValueError(
            f'{path}: not a caption file ({error}); expected {{"image id": ["caption", ...]}} or '
            '[{"image_id": 1, "caption": "..."}]. For COCO Captions use caption backend `oracle`'
        ) from error
    if isinstance(found, list):
        yield from ((str(row.image_id), row.caption) for row in found)
        return
    for key, captions in found.items():
        for caption in [captions] if isinstance(captions, str) else captions:
            yield key, caption

"""Human captions from COCO Captions JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import fsspec
import msgspec

from relforge.stages.caption.given import GivenCaptions


class _Row(msgspec.Struct, gc=False):
    image_id: int | str
    caption: str


class _File(msgspec.Struct):
    annotations: list[_Row]


def oracle(files: str | Sequence[str], limit: int | None = None) -> GivenCaptions:
    """The captions people wrote: COCO Captions files (`{"annotations": [{image_id, caption}]}`).

    Args:
        files: path or URI of a captions file, or several (train and val).
        limit: captions kept per image, the first ones; None for all.
    """
    return GivenCaptions(files, "oracle", read_coco_captions, limit)


def read_coco_captions(path: str) -> Iterator[tuple[str, str]]:
    """(image id, caption) of each annotation, in file order.

    Raises:
        ValueError: not a COCO Captions file.
    """
    with fsspec.open(path, "rb") as file:
        content = file.read()
    try:
        rows = msgspec.json.decode(content, type=_File).annotations
    except msgspec.DecodeError as error:
        raise ValueError(
            f"{path}: not a COCO Captions file ({error}); expected "
            '{"annotations": [{"image_id": 1, "caption": "..."}]}. '
            "For other layouts use caption backend `import`"
        ) from error
    for row in rows:
        yield str(row.image_id), row.caption

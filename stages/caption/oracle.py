"""Human captions from COCO Captions JSON."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.caption.files import CaptionFile, read_caption_file
from relforge.stages.caption.given import GivenCaptions

_EXPECTED = (
    'COCO Captions file: expected {"annotations": [{"image_id": 1, "caption": "..."}]}. For other layouts '
    "use caption backend `import`"
)


def oracle(files: str | Sequence[str], limit: int | None = None) -> GivenCaptions:
    """The captions people wrote: COCO Captions files (`{"annotations": [{image_id, caption}]}`).

    Args:
        files: path or URI of a captions file, or several (train and val).
        limit: captions kept per image, the first ones; None for all.
    """
    return GivenCaptions(files, "oracle", read_coco_captions, limit)


def read_coco_captions(path: str) -> CaptionFile:
    """The caption of each annotation, in file order.

    Raises:
        ValueError: not a COCO Captions file.
    """
    return read_caption_file(path, "coco", _EXPECTED)

"""Captioning a shard one image at a time with a model that brings its own generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import torch
from torch import Tensor

from relforge.images import ImageError
from relforge.models.blip.uniform import image_key
from relforge.stages.caption.captions import CaptionSheet
from relforge.stages.caption.pixels import pictures
from relforge.stages.contract import StageResult


def caption_each(
    tables: Mapping[str, pa.Table],
    sheet: CaptionSheet,
    write: Callable[[Tensor], list[str]],
    size: int | None,
    threads: int,
) -> StageResult:
    """One call per image, each with torch's generators seeded from (run seed, image id), so that captions
    depend neither on the batch nor on the order of the images.

    Args:
        write: 3 x H x W uint8 pixels to captions.
        size: pixels of the squashed square the model sees; None: the decoded picture as it is.
        threads: picture decoders.
    """
    for image_id, found in pictures(tables["images"], size, threads):
        if isinstance(found, ImageError):
            sheet.refuse(image_id, found.reason, found.detail)
            continue
        torch.manual_seed(image_key(sheet.seed, image_id))
        with torch.inference_mode():
            sheet.add(image_id, [(text, None) for text in write(found)])
    return sheet.result()

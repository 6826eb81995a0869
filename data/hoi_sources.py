"""Entries of `data:` that name a file of `HOI_FORMATS`, a benchmark's or one's own.

Labels are the benchmark's whole lists in its own order, so that models with closed labels have its classes:
HICO-DET's 80 and 117 (or those of `vocabulary`), V-COCO's 81 with `MISSING` and 29 prompts, the lists of Open
Images' `categories`; those of `coco_relations` are the file's own. Images without rows stay, as published,
unless `keep_empty: false` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np

from relforge.data.formats import coco_relations, hico, open_images, vcoco
from relforge.data.hoi import HoiData
from relforge.data.hoi_relations import relations_of
from relforge.data.relations import RelationData, take
from relforge.data.vcoco_actions import PROMPTS
from relforge.images import MAX_PIXELS
from relforge.stages.ingest.image_files import ImageFiles


def _vcoco(annotations: str, instances: str = "") -> HoiData:
    return replace(vcoco.read(annotations, instances), verbs=PROMPTS)


def _open_images(
    annotations: str, categories: str = "", classes: str = "", sizes: str = "", images: str | None = None
) -> HoiData:
    data = open_images.read(annotations, categories, classes, sizes, images)
    if not annotations.endswith(".csv"):
        return data
    # a file of sizes may have the images of every split
    return replace(data, images=[image for image in data.images if len(image.boxes)])


HOI_FORMATS: dict[str, Callable[..., HoiData]] = {
    "hico": hico.read,
    "vcoco": _vcoco,
    "open_images": _open_images,
    "coco_relations": coco_relations.read,
}
"""Format -> its reader; the reader's parameters are options of the entry."""

COMMON = ("images", "limit", "keep_empty", "max_boxes", "orientation", "max_pixels", "follow_links")
"""Options that all of them have."""


def load_hoi(part: Mapping[str, Any], max_pairs: int) -> RelationData:
    """Load one entry.

    Args:
        part: `format`, the options of its reader, and any of `COMMON`: `images` (folder, folders or pattern
            of the image files), `limit` (the first images), `keep_empty` (true), `max_boxes` (all),
            `orientation` (`stored`, as published code decodes) and `max_pixels`.
        max_pairs: pairs of an image, the first in the file.

    Raises:
        ValueError: an unknown or missing option, or a file of another form.
        OSError: a file cannot be read.
    """
    hoi = read_hoi(part)
    orientation = part.get("orientation", "stored")
    max_pixels = part.get("max_pixels", MAX_PIXELS)
    files = ImageFiles(
        part.get("images"),
        follow_links=part.get("follow_links", False),
        orientation=orientation,
        max_pixels=max_pixels,
    )
    data = relations_of(
        hoi,
        files,
        max_pairs=max_pairs,
        max_boxes=part.get("max_boxes"),
        keep_empty=part.get("keep_empty", True),
        orientation=orientation,
        max_pixels=max_pixels,
    )
    return take(data, np.arange(min(part["limit"], len(data)))) if "limit" in part else data


def read_hoi(part: Mapping[str, Any]) -> HoiData:
    """The file of one entry as it is, whatever training uses of it.

    Raises:
        ValueError: an unknown or missing option, or a file of another form.
        OSError: the file cannot be read.
    """
    name = part["format"]
    read = HOI_FORMATS[name]
    parameters = signature(read).parameters
    own = [key for key in COMMON if key not in parameters]
    given = {key: value for key, value in part.items() if key not in (*own, "format")}
    known = [*parameters, *own]
    if unknown := [key for key in given if key not in parameters]:
        raise ValueError(f"data: {name}: unknown option {unknown[0]}; choose from {', '.join(known)}")
    needed = [key for key, parameter in parameters.items() if parameter.default is parameter.empty]
    if absent := [key for key in needed if key not in given]:
        raise ValueError(f"data: {name}: give {absent[0]}=FILE")
    return read(**given)

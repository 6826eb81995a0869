"""Objects365 v2: COCO-format files of five gigabytes, with patch folders and misspelt names.

From https://www.objects365.org, 365 classes, 1.74 million training images. On disk:

    zhiyuan_objv2_train.json, zhiyuan_objv2_val.json    as COCO's, beside fields such as `isfake`
    train/patch0/objects365_v1_00000000.jpg             patches 0 to 50
    val/patch8/objects365_v1_00420917.jpg

A record's `file_name` may have other folders in front: `images/v1/patch8/objects365_v1_00420917.jpg`.
"""

from __future__ import annotations

from collections.abc import Mapping

from relforge.images import MAX_PIXELS
from relforge.stages.ingest.coco import CocoSource

CORRECTED: dict[str, str] = {
    "bakset": "basket",
    "ballon": "balloon",
    "billards": "billiards",
    "buttefly": "butterfly",
    "campel": "camel",
    "extention cord": "extension cord",
    "hotair ballon": "hotair balloon",
    "moniter/tv": "monitor/tv",
    "mushroon": "mushroom",
    "noddles": "noodles",
    "table teniis paddle": "table tennis paddle",
    "tape measur/ ruler": "tape measure/ruler",
}
"""Misspelt class names of the published files, lower case; the other differences are spaces at the ends."""


def objects365(
    annotations: str | Mapping[str, str],
    images: str | None = None,
    split: str = "train",
    dataset: str = "objects365",
    require_images: bool = False,
    embed_images: bool = False,
    follow_links: bool = False,
    orientation: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CocoSource:
    """A source for `zhiyuan_objv2_{train,val}.json`.

    Class names are lower-cased, trimmed and corrected. Image files are `<split>/patchN/<file>` under the
    images folder, whatever folders the record's `file_name` (`images/v1/patch8/...`) has in front. The
    arguments are `CocoSource`'s; `images` is the folder that holds the splits' folders, or a pattern.
    """
    pattern = images if images is None or "{" in images else images.rstrip("/") + "/{split}/{file_name}"
    options = (pattern, split, dataset, require_images, embed_images, follow_links, orientation, max_pixels)
    source = CocoSource(annotations, *options, class_name=class_name, file_name=_patch_and_file)
    source.name = "objects365"
    return source


def class_name(name: str) -> str:
    """The corrected lower-case name of a class."""
    name = " ".join(name.lower().split())
    return CORRECTED.get(name, name)


def _patch_and_file(name: str) -> str:
    return "/".join(name.split("/")[-2:])

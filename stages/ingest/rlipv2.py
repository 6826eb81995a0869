"""Relation files in the layout of RLIPv2's R-Tagger: scene graphs of any dataset, with confidences.

From https://github.com/JacobYuan7/RLIPv2 (its pseudo-labels), or `relforge export --to rlipv2`.
On disk, one file:

    [{"image_id", "dataset": "coco2017", "data_split": "train2017",
      "objects": [{"object_id", "names": "person", "x", "y", "w", "h"}, ...],
      "relationships": [{"subject_id", "predicate", "object_id", "confidence"}, ...]}, ...]

The published files have no image sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

from relforge.images import MAX_PIXELS
from relforge.stages.ingest.visual_genome import VisualGenomeSource


def rlipv2(
    annotations: str,
    image_data: str | None = None,
    images: str | Sequence[str] | None = None,
    split: str = "all",
    dataset: str = "rlipv2",
    lowercase: bool = False,
    size_from_boxes: bool = True,
    require_images: bool = False,
    embed_images: bool = False,
    follow_links: bool = False,
    orientation: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> VisualGenomeSource:
    """A source for such a file: texts are kept as they are, and sizes that are missing come from the boxes.

    The arguments are `VisualGenomeSource`'s.
    """
    source = VisualGenomeSource(
        annotations,
        image_data,
        images,
        split,
        dataset,
        lowercase,
        size_from_boxes,
        require_images,
        embed_images,
        follow_links,
        orientation,
        max_pixels,
    )
    source.name = "rlipv2"
    return source

"""The parts of images that a captioner sees apart, and their captions put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from relforge.stages.caption.captioner import Caption
from relforge.stages.caption.regions import Region, choose_regions
from relforge.stages.caption.regions_table import REGIONS

_MARK = "\0region "
"""Between image id and region in the name of a part; no id holds it, since it is no text that files hold."""

Numbered = list[tuple[int, Caption]]


class PartsOfImages:
    """Numbers the captions of an image: those of the whole first, then those of each region.

    Args:
        boxes: image -> rows of its boxes.
        kind: of regions, see `choose_regions`.
    """

    def __init__(self, boxes: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> None:
        self._boxes, self._kind = boxes, kind
        self._regions: dict[str, list[Region]] = {}
        self._waiting: dict[str, dict[str, tuple[int, Numbered] | None]] = {}
        self._rows: list[dict[str, Any]] = []

    def choose(self, image_id: str, size: tuple[int, int]) -> list[Region]:
        """The regions of an image of that width and height."""
        if self._kind == "none":
            return []
        regions = choose_regions(self._kind, self._boxes.get(image_id, ()), size)
        self._regions[image_id] = regions
        return regions

    def names(self, image_id: str, count: int) -> list[str]:
        """Names of the image and its regions, `count` in all; the image's is its id."""
        names = [image_id, *(f"{image_id}{_MARK}{number}" for number in range(count - 1))]
        self._waiting[image_id] = dict.fromkeys(names)
        return names

    def is_region(self, name: str) -> bool:
        return _MARK in name

    def add(self, name: str, written: int, sound: Numbered) -> tuple[str, Numbered] | None:
        """Take the captions of a part.

        Args:
            written: how many captions it had, faulty ones included, so that numbers do not depend on faults.
            sound: number within the part, and caption.

        Returns:
            The image's id and all its captions once its last part is there.
        """
        image_id = name.partition(_MARK)[0]
        parts = self._waiting[image_id]
        parts[name] = (written, sound)
        if None in parts.values():
            return None
        first, together = 0, []
        for number, found in enumerate(parts.values(), -1):
            assert found is not None
            count, captions = found
            placed = [(first + n, caption) for n, caption in captions]
            if number >= 0:
                self._rows.append(self._row(image_id, number, [n for n, _ in placed]))
            together += placed
            first += count
        del self._waiting[image_id]
        return image_id, together

    def _row(self, image_id: str, number: int, captions: list[int]) -> dict[str, Any]:
        region = self._regions[image_id][number]
        subject, *others = region.boxes
        row = {"image_id": image_id, "region": number, "kind": region.kind, "subject_box": subject}
        row |= dict(zip("xywh", region.xywh, strict=True))
        return row | {"object_box": others[0] if others else None, "caption_ids": captions}

    def to_table(self) -> pa.Table:
        """The rows of `regions` of all images so far."""
        return pa.Table.from_pylist(self._rows, schema=REGIONS.schema)

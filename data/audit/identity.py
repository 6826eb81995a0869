"""By what an image is known: its id in the data set that it came from first, or its file name.

V-COCO has images of COCO 2014, COCO 2017 has them under the same numbers, and half of Visual Genome is COCO
(`image_data.json` has the numbers), so one image may be known by several names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

COCO, VISUAL_GENOME = "coco", "visual_genome"
NUMBERED = {"coco": COCO, "vcoco": COCO, "visual_genome": VISUAL_GENOME, "vg150": VISUAL_GENOME}
"""Formats whose images have numbers -> whose numbers."""

_PATTERNS = {
    COCO: re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?0*(\d+)"),
    "hico": re.compile(r"(HICO_(?:train|test)2015_\d{8})"),
    "open_images": re.compile(r"([0-9a-f]{16})"),
    "objects365": re.compile(r"(objects365_v\d_\d{8})"),
}
_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?\d{12}")


def identities(
    file_name: str = "", format: str = "", image_id: str = "", coco_ids: Mapping[int, int] | None = None
) -> frozenset[str]:
    """Names such as `coco:42`, `hico:HICO_test2015_00000007` or `file:cat.jpg`.

    Args:
        file_name: with or without folders; a name of no known form counts as it is.
        format: of the data set that the image is listed in; empty if unknown.
        image_id: there.
        coco_ids: numbers of COCO by those of Visual Genome.
    """
    found = set()
    path = PurePosixPath(file_name.replace("\\", "/"))
    known = [
        f"{name}:{match.group(1)}"
        for name, pattern in _PATTERNS.items()
        if (match := pattern.fullmatch(path.stem)) and (name != COCO or _COCO_NAME.fullmatch(path.stem))
    ]
    found.update(known)
    numbers = NUMBERED.get(format)
    number = image_id or (path.stem if numbers else "")
    if numbers and number.isdecimal():
        found.add(f"{numbers}:{int(number)}")
        if numbers == VISUAL_GENOME and coco_ids and int(number) in coco_ids:
            found.add(f"{COCO}:{coco_ids[int(number)]}")
    if path.name and not found:
        found.add(f"file:{path.name.lower()}")
    return frozenset(found)

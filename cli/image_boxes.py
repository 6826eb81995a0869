"""The boxes of one image, as people write them down."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from relforge.cli.exits import BadInput

Box = dict[str, Any]
"""`category`, and `bbox`: left, top, width and height in pixels."""

_FORMS = (
    'write [{"category": "dog", "bbox": [x, y, width, height]}, ...] in pixels, '
    "or give a COCO-format file that lists the image"
)


def read_boxes(path: str, image: str) -> list[Box]:
    """Boxes from a list of `{category, bbox}`, or from a COCO-format file with this image in it.

    Args:
        image: path of the image; a COCO file is searched for its file name, and one of a single image is
            taken to be of it.

    Raises:
        BadInput: no such file, neither of the two, a box that is none, or none at all.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"--boxes {path}: cannot be read ({error})") from error
    except ValueError as error:
        raise BadInput(f"--boxes {path}: is no JSON ({error}); {_FORMS}") from error
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        content = _of_coco(content, path, image)
    if not isinstance(content, list):
        raise BadInput(f"--boxes {path}: expected a list of boxes; {_FORMS}")
    boxes = [_check(entry, f"--boxes {path}: box {number}") for number, entry in enumerate(content)]
    if not boxes:
        raise BadInput(f"--boxes {path}: has no box; a relation needs two")
    return boxes


def _of_coco(content: dict[str, Any], path: str, image: str) -> list[Box]:
    name = Path(image).name
    try:
        images = [one for one in content["images"] if Path(str(one["file_name"])).name == name]
        if not images and len(content["images"]) == 1:
            images = content["images"]
        if not images:
            raise BadInput(f"--boxes {path}: lists no image of the file name {name}")
        names = {one["id"]: one["name"] for one in content["categories"]}
        return [
            {"category": names[one["category_id"]], "bbox": one["bbox"]}
            for one in content["annotations"]
            if one["image_id"] == images[0]["id"]
        ]
    except (KeyError, TypeError) as error:
        raise BadInput(f"--boxes {path}: is no COCO-format file as it should be ({error})") from error


def _check(entry: object, where: str) -> Box:
    if not isinstance(entry, dict) or not isinstance(entry.get("category"), str) or not entry["category"]:
        raise BadInput(f"{where} has no category; {_FORMS}")
    sides = entry.get("bbox")
    if not isinstance(sides, list) or len(sides) != 4 or not all(_is_number(side) for side in sides):
        raise BadInput(f"{where}: bbox is {sides!r}; {_FORMS}")
    if sides[2] <= 0 or sides[3] <= 0:
        raise BadInput(f"{where}: bbox {sides} has no area; its last two numbers are width and height")
    return {"category": entry["category"], "bbox": [float(side) for side in sides]}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

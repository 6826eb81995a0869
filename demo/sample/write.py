"""The sample as files: a COCO annotation file, a COCO captions file and a folder of pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from relforge.demo.sample.draw import draw
from relforge.demo.sample.scene import HEIGHT, SIZES, WIDTH, Scene, compose


@dataclass(frozen=True)
class SampleFiles:
    """Where the sample lies: COCO instances JSON, COCO captions JSON, folder of JPEGs."""

    annotations: Path
    captions: Path
    images: Path


def write(folder: Path, images: int = 48, seed: int = 0) -> SampleFiles:
    """Draw the sample into `folder`. The same arguments give the same bytes.

    Args:
        folder: made when it is not there; files in it of the same names are replaced.
        images: how many pictures.
        seed: of the whole sample.
    """
    files = SampleFiles(folder / "instances.json", folder / "captions.json", folder / "images")
    files.images.mkdir(parents=True, exist_ok=True)
    scenes = [compose(Random(f"{seed}/{index}")) for index in range(images)]
    for index, scene in enumerate(scenes):
        draw(scene).save(files.images / _file_name(index), quality=90)
    pictures = [
        {"id": index + 1, "file_name": _file_name(index), "width": WIDTH, "height": HEIGHT}
        for index in range(images)
    ]
    _save(files.annotations, {"images": pictures, **_boxes(scenes)})
    _save(files.captions, {"images": pictures, "annotations": _captions(scenes)})
    return files


def _boxes(scenes: list[Scene]) -> dict[str, Any]:
    """COCO `categories` and `annotations`; boxes are x, y, w, h in pixels."""
    category_ids = {name: number for number, name in enumerate(SIZES, start=1)}
    things = [(image, thing) for image, scene in enumerate(scenes, start=1) for thing in scene.things]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": category_ids[thing.category],
            "bbox": [thing.x, thing.y, thing.w, thing.h],
            "area": thing.w * thing.h,
            "iscrowd": 0,
        }
        for number, (image, thing) in enumerate(things, start=1)
    ]
    categories = [{"id": number, "name": name} for name, number in category_ids.items()]
    return {"annotations": annotations, "categories": categories}


def _captions(scenes: list[Scene]) -> list[dict[str, Any]]:
    texts = [(image, text) for image, scene in enumerate(scenes, start=1) for text in scene.captions]
    return [
        {"id": number, "image_id": image, "caption": text}
        for number, (image, text) in enumerate(texts, start=1)
    ]


def _file_name(index: int) -> str:
    return f"{index + 1:06d}.jpg"


def _save(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")

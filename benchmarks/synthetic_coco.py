"""A COCO-sized annotation file drawn from a seed, for the reading benchmarks.

Counts and field order follow instances_train2017.json: polygons take most of the bytes, annotations
are not grouped by image, keys come in COCO's order.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

IMAGES, BOXES, CLASSES = 117_266, 860_001, 80


def write(path: Path, images: int = IMAGES, boxes: int = BOXES, polygons: bool = True, seed: int = 0) -> None:
    """Write a synthetic COCO file: about 490 MB with polygons, 145 MB without, at the default size."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.arange(1, images * 5))[:images]
    size = rng.integers(240, 641, (images, 2))
    owner = rng.integers(0, images, boxes)
    with path.open("w") as out:
        out.write('{"info": {"description": "synthetic"}, "licenses": [], "images": [')
        for i in range(images):
            record = {
                "license": 3,
                "file_name": f"{ids[i]:012d}.jpg",
                "coco_url": f"http://images.cocodataset.org/train2017/{ids[i]:012d}.jpg",
                "height": int(size[i, 1]),
                "width": int(size[i, 0]),
                "date_captured": "2013-11-14 16:28:13",
                "id": int(ids[i]),
            }
            out.write((", " if i else "") + json.dumps(record))
        out.write('], "annotations": [')
        for start in range(0, boxes, 20_000):
            out.write((", " if start else "") + _annotations(rng, start, owner, ids, size, polygons))
        names = [{"supercategory": "thing", "id": c + 1, "name": f"class {c:02d}"} for c in range(CLASSES)]
        out.write('], "categories": ' + json.dumps(names) + "}")


def _annotations(
    rng: np.random.Generator,
    start: int,
    owner: np.ndarray,
    ids: np.ndarray,
    size: np.ndarray,
    polygons: bool,
) -> str:
    """One slice of the annotations array, without its brackets."""
    rows = owner[start : start + 20_000]
    corner = (rng.random((len(rows), 2)) * (size[rows] - 40)).round(2)
    extent = (8 + rng.random((len(rows), 2)) * (size[rows] - corner - 10)).round(2)
    category = rng.integers(1, CLASSES + 1, len(rows))
    points = rng.geometric(1 / 26, len(rows)) * 2 + 4
    crowd = rng.random(len(rows)) < 0.012
    parts = []
    for k, row in enumerate(rows):
        head = ""
        if polygons:
            polygon = (rng.random(points[k]) * size[row, 0]).round(2).tolist()
            head = f'"segmentation": {json.dumps([polygon])}, "area": {extent[k, 0] * extent[k, 1]:.4f}, '
        x, y, w, h = corner[k, 0], corner[k, 1], extent[k, 0], extent[k, 1]
        parts.append(
            f'{{{head}"iscrowd": {int(crowd[k])}, "image_id": {ids[row]}, "bbox": [{x}, {y}, {w}, {h}], '
            f'"category_id": {category[k]}, "id": {start + k + 1}}}'
        )
    return ", ".join(parts)

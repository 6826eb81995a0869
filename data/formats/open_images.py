"""Open Images V6 visual relations: the CSV files of the release, or a converted list with its names."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from relforge.data.formats.hoi_list import write_list
from relforge.data.hoi import NO_OBJECT, HoiData, HoiImage

CLASSES, SIZES, CATEGORIES = (
    "class-descriptions.csv",
    "sizes.csv",
    "OI_SGG_trainval_test_categories_dict.json",
)
_SIDES = ("XMin", "XMax", "YMin", "YMax")
BOX_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", *_SIDES, "IsGroupOf")
RELATION_COLUMNS = (
    "ImageID",
    "LabelName1",
    "LabelName2",
    *(f"{side}{end}" for end in (1, 2) for side in _SIDES),
    "RelationshipLabel",
)


def write_csv(folder: Path, splits: Mapping[str, HoiData]) -> int:
    """`oidv6-<split>-annotations-vrd.csv`, `oidv6-<split>-annotations-bbox.csv`, class names and image sizes.

    The label of a class is its name; coordinates are shares of the image. An image's id is its file name
    without ending.

    Returns:
        Rows without an object, which the files cannot hold.

    Raises:
        ValueError: the size of an image is not known.
    """
    left_out = 0
    classes: dict[str, None] = {}
    with (folder / SIZES).open("w", newline="", encoding="utf-8") as sizes:
        size_rows = csv.writer(sizes)
        size_rows.writerow(["ImageID", "Width", "Height"])
        for split, data in splits.items():
            classes |= dict.fromkeys(data.objects)
            vrd, bbox = (folder / f"oidv6-{split}-annotations-{kind}.csv" for kind in ("vrd", "bbox"))
            with (
                vrd.open("w", newline="", encoding="utf-8") as relation_file,
                bbox.open("w", newline="", encoding="utf-8") as box_file,
            ):
                relation_rows, box_rows = csv.writer(relation_file), csv.writer(box_file)
                relation_rows.writerow(RELATION_COLUMNS)
                box_rows.writerow(BOX_COLUMNS)
                for image in data.images:
                    name, shares = PurePosixPath(image.file_name).stem, _shares(image)
                    size_rows.writerow([name, *(image.size or ())])
                    labels = [data.objects[code] for code in image.classes]
                    for row, (label, sides) in enumerate(zip(labels, shares, strict=True)):
                        group = int(image.crowd is not None and image.crowd[row])
                        box_rows.writerow([name, "xclick", label, 1, *sides, group])
                    for subject, end, verb in image.interactions.tolist():
                        if end == NO_OBJECT:
                            left_out += 1
                            continue
                        ends = [labels[subject], labels[end], *shares[subject], *shares[end]]
                        relation_rows.writerow([name, *ends, data.verbs[verb]])
    with (folder / CLASSES).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([name, name] for name in classes)
    return left_out


def _shares(image: HoiImage) -> list[list[float]]:
    """x1, x2, y1, y2 of every box as shares of the image."""
    if image.size is None:
        raise ValueError(
            f"{image.file_name}: Open Images has shares of the image for pixels; give images=FOLDER"
        )
    width, height = image.size
    return [[x1 / width, x2 / width, y1 / height, y2 / height] for x1, y1, x2, y2 in image.boxes.tolist()]


def write_converted(path: Path, data: HoiData) -> None:
    """A converted list; categories and predicates are numbered from 0 as in `write_categories`."""
    write_list(
        path, data, range(len(data.objects)), range(len(data.verbs)), rows="rel_annotations", names=False
    )


def write_categories(path: Path, data: HoiData) -> None:
    """The names behind the numbers: {obj: [name], rel: [name]}."""
    path.write_text(json.dumps({"obj": list(data.objects), "rel": list(data.verbs)}, indent=1))

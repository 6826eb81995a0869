"""Open Images V6 visual relations: the CSV files of the release, or a converted list with its names."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from relforge.data.formats.hoi_list import write_list
from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, HoiImage, Written, drop_rows_without_object
from relforge.data.open_images import read_open_images

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


def read(
    annotations: str, categories: str = "", classes: str = "", sizes: str = "", images: str | None = None
) -> HoiData:
    """Read a converted list, or the CSV file of relations (`open_images.read_open_images`).

    Args:
        categories: JSON of the names behind a list's numbers.
        classes, sizes: CSV of class names and of image sizes, for CSV relations.
        images: folder of the image files, from which the sizes are read where there are no `sizes`.
    """
    return read_open_images(annotations, categories, classes, sizes, images)


def write(data: HoiData, path: Path, split: str = "test") -> Written:
    """Write the CSV files of a split into a folder.

    Args:
        split: in the names `oidv6-<split>-annotations-vrd.csv` and `-bbox.csv`.
    """
    path.mkdir()
    data, left_out = drop_rows_without_object(data)
    write_csv(path, {split: data})
    return Written(data, left_out)


def write_folder(data: HoiData, path: Path, split: str = "test") -> Written:
    """Write a converted list and its names into a folder.

    Args:
        split: in the name `OI_SGG_<split>.json`.
    """
    path.mkdir()
    kept = replace(data, objects=[name for name in data.objects if name != MISSING])
    kept, left_out = drop_rows_without_object(kept)
    write_converted(path / f"OI_SGG_{split}.json", kept)
    write_categories(path / CATEGORIES, kept)
    return Written(kept, left_out)


def write_csv(folder: Path, splits: Mapping[str, HoiData]) -> None:
    """`oidv6-<split>-annotations-vrd.csv`, `oidv6-<split>-annotations-bbox.csv`, class names and image sizes.

    The label of a class is its name; coordinates are shares of the image. Rows without an object are not
    written. An image's id is its file name without ending.

    Raises:
        ValueError: the size of an image is not known.
    """
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
                            continue
                        ends = [labels[subject], labels[end], *shares[subject], *shares[end]]
                        relation_rows.writerow([name, *ends, data.verbs[verb]])
    with (folder / CLASSES).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([name, name] for name in classes)


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

"""A split of the world in the files of the field's benchmarks: HICO-DET, V-COCO and Open Images.

Every fourth image is of the test split. In the split's folder, beside `images/`:

    hico/         trainval_hico.json, test_hico.json, corre_hico.json, corre_hico.npy, hoi_list_new.json
    vcoco/        instances_vcoco_all_2014.json, vcoco_trainval.json, vcoco_test.json (the official files),
                  trainval_vcoco.json, test_vcoco.json (the converted lists)
    open_images/  oidv6-{train,test}-annotations-{vrd,bbox}.csv, class-descriptions.csv, sizes.csv, and
                  OI_SGG_train.json, OI_SGG_test.json, OI_SGG_trainval_test_categories_dict.json

HICO-DET and V-COCO have the relations of people, V-COCO those that mean one of its 26 actions. Names are the
world's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from relforge.data.formats import hico, open_images, vcoco
from relforge.data.hoi import HoiData, HoiImage
from relforge.data.vocabulary import write_vocabulary
from relforge.demo.world.catalogue import CLASSES
from relforge.demo.world.interactions import INTERACTIONS, SPATIAL

PREDICATES = (*(name for name in INTERACTIONS if name != "sheltering"), *SPATIAL)
TEST_EVERY = 4


def write_benchmarks(split: Path) -> None:
    """Write the three folders of a drawn split.

    Args:
        split: its folder, with `instances.json` and `scene_graphs.json`.
    """
    parts = read_parts(split)
    _write_hico(split / "hico", parts)
    _write_vcoco(split / "vcoco", parts)
    _write_open_images(split / "open_images", parts)


def read_parts(split: Path) -> dict[str, HoiData]:
    """`train` and `test`, with every relation of every subject."""
    names = {
        one["id"]: one["file_name"] for one in json.loads((split / "instances.json").read_text())["images"]
    }
    classes = {name: code for code, name in enumerate(CLASSES)}
    predicates = {name: code for code, name in enumerate(PREDICATES)}
    images: dict[str, list[HoiImage]] = {"train": [], "test": []}
    for graph in json.loads((split / "scene_graphs.json").read_text()):
        objects = graph["objects"]
        place = {one["object_id"]: row for row, one in enumerate(objects)}
        xywh = np.array([[one[side] for side in "xywh"] for one in objects], float).reshape(-1, 4)
        rows = [
            (place[one["subject_id"]], place[one["object_id"]], predicates[one["predicate"]])
            for one in graph["relationships"]
        ]
        image = HoiImage(
            names[graph["image_id"]],
            np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1),
            np.array([classes[one["names"][0]] for one in objects], np.int64),
            np.array(rows, np.int64).reshape(-1, 3),
            (graph["width"], graph["height"]),
            identity=str(graph["image_id"]),
        )
        images["test" if graph["image_id"] % TEST_EVERY == 0 else "train"].append(image)
    return {name: HoiData(found, list(CLASSES), list(PREDICATES)) for name, found in images.items()}


def _write_hico(folder: Path, parts: Mapping[str, HoiData]) -> None:
    folder.mkdir(exist_ok=True)
    people = {name: hico.only_people(data)[0] for name, data in parts.items()}
    names = hico.vocabulary_of(people.values())
    write_vocabulary(names, folder)
    for name, file in (("train", "trainval_hico.json"), ("test", "test_hico.json")):
        hico.write_hico(folder / file, people[name], names)


def _write_vcoco(folder: Path, parts: Mapping[str, HoiData]) -> None:
    folder.mkdir(exist_ok=True)
    people = {"trainval": parts["train"], "test": parts["test"]}
    found = {name: vcoco.as_vcoco(data)[0] for name, data in people.items()}
    vcoco.write_official(folder, found)
    for name, data in found.items():
        vcoco.write_converted(folder / f"{name}_vcoco.json", data)


def _write_open_images(folder: Path, parts: Mapping[str, HoiData]) -> None:
    folder.mkdir(exist_ok=True)
    open_images.write_csv(folder, parts)
    for name, data in parts.items():
        open_images.write_converted(folder / f"OI_SGG_{name}.json", data)
    open_images.write_categories(folder / open_images.CATEGORIES, parts["train"])

"""HICO-DET's three files hold one annotation: each is read to the same images and interactions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from relforge.data import hico
from relforge.data.hoi import HoiData

NAME = "HICO_test2015_00000001.jpg"
MAN, HORSE = [10.0, 20.0, 50.0, 90.0], [30.0, 40.0, 120.0, 110.0]
RIDE_HORSE = hico.interactions().index(("ride", "horse"))
FEED_HORSE = hico.interactions().index(("feed", "horse"))


def write_list(folder: Path) -> str:
    number = hico.objects().index("horse")
    coco = next(key for key, code in hico.coco_codes().items() if code == number)
    record = {
        "file_name": NAME,
        "annotations": [{"bbox": MAN, "category_id": 1}, {"bbox": HORSE, "category_id": coco}],
        "hoi_annotation": [{"subject_id": 0, "object_id": 1, "category_id": hico.verbs().index("ride") + 1}],
    }
    path = folder / "test_hico.json"
    path.write_text(json.dumps([record]))
    return str(path)


def write_instances(folder: Path) -> str:
    objects = sorted(name.replace(" ", "_") for name in hico.objects())
    verbs = [name.replace(" ", "_") for name in hico.verbs()]
    one = {
        "boxes_h": [MAN],
        "boxes_o": [HORSE],
        "hoi": [RIDE_HORSE],
        "object": [objects.index("horse")],
        "verb": [verbs.index("ride")],
    }
    document = {"filenames": [NAME], "annotation": [one], "size": [[640, 480]]}
    path = folder / "instances_test2015.json"
    path.write_text(json.dumps(document | {"objects": objects, "verbs": verbs, "correspondence": []}))
    return str(path)


def write_mat(folder: Path) -> str:
    def corners(box: list[float]) -> dict[str, float]:
        return dict(zip(("x1", "y1", "x2", "y2"), (side + 1 for side in box), strict=True))

    seen = {"id": RIDE_HORSE + 1, "bboxhuman": [corners(MAN)], "bboxobject": [corners(HORSE)]}
    seen |= {"connection": np.array([[1, 1]]), "invis": 0}
    hidden = {"id": FEED_HORSE + 1, "bboxhuman": [], "bboxobject": []}
    hidden |= {"connection": np.zeros((0, 2)), "invis": 1}
    fields = [(name, object) for name in ("id", "bboxhuman", "bboxobject", "connection", "invis")]
    hois = np.array([tuple(one[name] for name, _ in fields) for one in (seen, hidden)], dtype=fields)
    for row in hois:
        for end in ("bboxhuman", "bboxobject"):
            sides = [(name, object) for name in ("x1", "x2", "y1", "y2")]
            row[end] = np.array([tuple(box[name] for name, _ in sides) for box in row[end]], dtype=sides)
    size = np.array([(640, 480, 3)], dtype=[(name, object) for name in ("width", "height", "depth")])
    image = np.zeros(1, dtype=[("filename", object), ("size", object), ("hoi", object)])
    image[0] = (NAME, size, hois)
    path = folder / "anno_bbox.mat"
    savemat(path, {"bbox_test": image})
    return str(path)


@pytest.fixture(params=[write_list, write_instances, write_mat])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> HoiData:
    write: Callable[[Path], str] = request.param
    return hico.read_hico(write(tmp_path))


def test_boxes_names_and_interactions(data: HoiData) -> None:
    (image,) = data.images
    assert image.file_name == NAME
    assert image.boxes.tolist() == [MAN, HORSE]
    assert [data.objects[code] for code in image.classes] == ["person", "horse"]
    ((subject, object_, verb),) = image.interactions.tolist()
    assert (subject, object_, data.verbs[verb]) == (0, 1, "ride")


def test_an_interaction_without_a_visible_box_still_labels_the_image(tmp_path: Path) -> None:
    (image,) = hico.read_hico(write_mat(tmp_path)).images
    assert image.labels == (hico.objects().index("horse"),)


def bad_list() -> list[Any]:
    box = {"bbox": MAN, "category_id": 1}
    rows = [
        {"subject_id": 0, "object_id": 9, "category_id": 1},
        {"subject_id": 0, "object_id": 0, "category_id": 118},
        {"subject_id": 0, "object_id": 1, "category_id": 1},
        {"subject_id": 0, "object_id": 2, "category_id": 1},
        {"subject_id": 0, "category_id": 1},
        {"subject_id": 0, "object_id": 0, "category_id": 1},
    ]
    broken = [{"bbox": [1, 2, "x", 4], "category_id": 1}, {"bbox": MAN, "category_id": 12}]
    image = {"file_name": NAME, "annotations": [box, *broken], "hoi_annotation": rows}
    return [image, {"annotations": []}, image | {"annotations": [box], "hoi_annotation": []}]


def test_what_cannot_be_used_is_counted_under_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "test_hico.json"
    path.write_text(json.dumps(bad_list()))
    data = hico.read_hico(str(path))
    assert dict(data.reasons) == {
        "malformed_box": 1,
        "unknown_category": 1,
        "unknown_box": 1,
        "unknown_verb": 1,
        "box_set_aside": 2,
        "malformed_row": 1,
        "malformed_image": 1,
        "duplicate_image": 1,
    }
    assert [image.interactions.tolist() for image in data.images] == [[[0, 0, 0]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("{}", "neither a list of images nor"), ("[]", "no image with file_name")],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "test_hico.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        hico.read_hico(str(path))

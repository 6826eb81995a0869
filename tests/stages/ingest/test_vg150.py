"""The VG150 adapter: the published readers' images, boxes and relations, and files that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from relforge.stages.contract import SourceError
from relforge.stages.ingest.vg150_file import Vg150, local_rows, read_vg150
from relforge.stages.registry import build_source
from tests.conftest import shared_path

Files = dict[str, str]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Nine images as arrays, with what both published readers make of them."""
    found: dict[str, Any] = json.loads(shared_path("goldens/g17_sgg_eval_vg150_tiny.json").read_text())
    return found


@pytest.fixture
def files(golden: dict[str, Any], tmp_path: Path) -> Files:
    """The three files of the golden."""
    names = {"annotations": "VG-SGG.h5", "dictionary": "dicts.json", "image_data": "image_data.json"}
    paths = {name: str(tmp_path / file) for name, file in names.items()}
    with h5py.File(paths["annotations"], "w") as file:
        for name, values in golden["arrays"].items():
            file[name] = np.array(values, golden["dtypes"][name])
    Path(paths["dictionary"]).write_text(json.dumps(golden["dicts"]))
    Path(paths["image_data"]).write_text(json.dumps(golden["image_data"]))
    return paths


def as_published(data: Vg150, rows: np.ndarray) -> list[dict[str, Any]]:
    """Images as the golden lists them: boxes as corners, numbers from 0."""
    images = []
    for row in rows.tolist():
        boxes = data.boxes[list(local_rows(data.box_first[row], data.box_last[row]))]
        relations = list(local_rows(data.relation_first[row], data.relation_last[row]))
        ends = data.pairs[relations].reshape(-1, 2) - data.box_first[row]
        record = {name: data.records[row][name] for name in ("image_id", "width", "height")}
        record["bbox"] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1).tolist()
        labels = data.labels[list(local_rows(data.box_first[row], data.box_last[row]))] - 1
        record["category_id"] = labels.tolist()
        numbers = data.relations[relations, None] - 1
        record["relations"] = np.concatenate([ends, numbers], 1).tolist()
        images.append(record)
    return images


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("keep_empty", [True, False])
def test_splits_and_boxes_are_those_of_the_published_reader(
    split: str, keep_empty: bool, files: Files, golden: dict[str, Any]
) -> None:
    data = read_vg150(**files)
    rows = data.rows(split, 2, keep_empty)
    rows = rows[data.box_first[rows] >= 0]  # published readers list no image without boxes

    expected = golden["speaq"][f"{split}_{'all' if keep_empty else 'norel_dropped'}"]
    for image in expected:
        image.pop("attribute", None)
    assert as_published(data, rows) == expected


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_other_published_reader_has_the_same_in_units_of_1024(
    split: str, files: Files, golden: dict[str, Any]
) -> None:
    data = read_vg150(**files)
    rows = data.rows(split, 2, keep_empty=False)
    expected = golden["scene_graph_benchmark"][split]

    assert np.isin(np.arange(len(data.split)), rows).tolist() == [bool(n) for n in expected["split_mask"]]
    for image, boxes, labels in zip(
        as_published(data, rows), expected["boxes"], expected["labels"], strict=True
    ):
        scale = 1024 / max(image["width"], image["height"])
        np.testing.assert_allclose(np.array(image["bbox"]) * scale, boxes, rtol=0, atol=1e-9)
        assert [label + 1 for label in image["category_id"]] == labels


def test_exact_rounding_keeps_the_half_unit_of_odd_sides(files: Files, golden: dict[str, Any]) -> None:
    published, exact = (read_vg150(**files, rounding=name).boxes for name in ("published", "exact"))

    boxes = np.array(golden["arrays"]["boxes_1024"])
    units = np.abs(exact - published)[:, :2] / exact[:, 2:] * boxes[:, 2:]
    odd = boxes[:, 2:] % 2 == 1
    np.testing.assert_allclose(units, odd / 2, atol=1e-9)


def test_the_adapter_gives_the_images_of_a_split_with_gold_by_name(files: Files) -> None:
    source = build_source("vg150", **files, images="VG_100K", split="val", val_images=2, keep_empty=False)

    [shard] = source.shards(10)

    tables = shard.tables
    assert tables["images"]["image_id"].to_pylist() == ["1", "2"]
    assert tables["images"]["uri"].to_pylist() == ["VG_100K/1.jpg", "VG_100K/2.jpg"]
    rows = [tuple(row.values()) for row in tables["gold"].to_pylist()]
    assert rows == [("1", 0, 2, "on"), ("1", 0, 2, "wearing"), ("2", 1, 0, "above"), ("2", 1, 3, "on"),
                    ("2", 2, 1, "on")]  # fmt: skip
    assert tables["boxes"]["category"].to_pylist()[:3] == ["bag", "tree", "dog"]


def test_a_relation_that_is_annotated_twice_is_counted_as_dropped(files: Files) -> None:
    [shard] = build_source("vg150", **files).shards(10)

    assert shard.dropped == {"repeated_relation": 2}


def without(name: str) -> Callable[[Files], None]:
    def remove(files: Files) -> None:
        with h5py.File(files["annotations"], "a") as file:
            del file[name]

    return remove


def replaced(name: str, values: Any) -> Callable[[Files], None]:
    def replace(files: Files) -> None:
        with h5py.File(files["annotations"], "a") as file:
            del file[name]
            file[name] = values

    return replace


def written(key: str, text: str) -> Callable[[Files], None]:
    def write(files: Files) -> None:
        Path(files[key]).write_text(text)

    return write


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (without("split"), r"VG-SGG\.h5: no data set 'split'; is it VG-SGG-with-attri\.h5"),
        (replaced("labels", np.ones((3, 1), int)), r"VG-SGG\.h5: 'boxes_1024' has 26 rows and 'labels' 3"),
        (replaced("labels", np.ones((26, 2), int)), r"'labels' has the shape \(26, 2\); 1 to a row"),
        (replaced("labels", np.array(["a"] * 26, "S1")), r"'labels' is no array of numbers"),
        (replaced("img_to_last_box", np.full(9, 99)), r"give image 0 the rows 0 to 99, of 26"),
        (written("dictionary", "[]"), r"dicts\.json: expected a JSON object"),
        (written("dictionary", '{"label_to_idx": {}}'), r"dicts\.json: 'predicate_to_idx' is missing"),
        (written("dictionary", '{"label_to_idx": {"a": 2}}'), r"label_to_idx: the numbers are not 1 to 1"),
        (written("image_data", "{}"), r"image_data\.json: expected a JSON list"),
        (written("image_data", "[]"), r"has 9 images and .*image_data\.json lists 0"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_sentence(
    damage: Callable[[Files], None], sentence: str, files: Files
) -> None:
    damage(files)

    with pytest.raises(SourceError, match=sentence) as refused:
        list(build_source("vg150", **files).shards(10))

    assert "\n" not in str(refused.value)


def test_an_unknown_rounding_names_the_choices(files: Files) -> None:
    with pytest.raises(ValueError, match="box_rounding: 'up'; choose one of published, exact"):
        build_source("vg150", **files, box_rounding="up")


def test_a_number_that_the_dictionary_has_not_is_set_aside(files: Files, golden: dict[str, Any]) -> None:
    labels = np.array(golden["arrays"]["labels"])
    labels[0] = 7
    replaced("labels", labels)(files)

    [shard] = build_source("vg150", **files).shards(10)

    # a box that cannot be used has no id, and its relations name nothing
    assert sorted(q.reason for q in shard.quarantined) == ["malformed_annotation", *["unknown_object"] * 2]

"""Benchmark files as training data: what the annotation says is what a model is trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relforge.data import hico
from relforge.data.batches import Batches, BatchOptions
from relforge.data.hoi import MISSING, NO_OBJECT
from relforge.data.label_lists import ClosedLabels
from relforge.data.relations import RelationData, concatenate
from relforge.data.sources import load_relations
from relforge.data.vcoco_actions import ACTIONS, PROMPTS, ROLES
from relforge.demo.world.dataset import write_split
from relforge.trainer.recipe import load_data
from relforge.trainer.settings import settings_from

Fact = tuple[str, list[float], str, str, list[float] | None]
"""Subject class and box (xyxy), predicate, object class and box."""


def facts(data: RelationData, index: int = 0) -> list[Fact]:
    example = data[index]
    found = []
    corners = np.concatenate([example.boxes[:, :2], example.boxes[:, :2] + example.boxes[:, 2:]], 1).tolist()
    names = [data.categories[code] for code in example.object_categories]
    rows = zip(example.pairs.tolist(), names, example.predicates, strict=True)
    for (subject, end), name, codes in rows:
        box = None if end == NO_OBJECT else corners[end]
        of_subject = data.categories[example.categories[subject]]
        found += [(of_subject, corners[subject], data.predicates[code], name, box) for code in codes]
    return found


def image(folder: Path, name: str, size: tuple[int, int] = (100, 80)) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", size).save(folder / name)


MAN, HORSE, OUTSIDE = [10.0, 20.0, 50.0, 70.0], [30.0, 40.0, 120.0, 60.0], [110.0, 5.0, 120.0, 9.0]
RIDE, FEED = (hico.verbs().index(name) + 1 for name in ("ride", "feed"))


def write_hico(folder: Path) -> dict[str, Any]:
    """Two images as PPDM has them, without sizes; the second has no interaction and the third no file."""
    boxes = [{"bbox": box, "category_id": number} for box, number in ((MAN, 1), (HORSE, 19), (OUTSIDE, 19))]
    ends = [(0, 1, RIDE), (0, 1, FEED), (0, 2, RIDE), (0, 1, RIDE), (0, 1, 118)]
    rows = [{"subject_id": s, "object_id": o, "category_id": verb} for s, o, verb in ends]
    records = [{"file_name": "a.jpg", "annotations": boxes, "hoi_annotation": rows}]
    records += [
        {"file_name": name, "annotations": boxes[:1], "hoi_annotation": []} for name in ("b.jpg", "c.jpg")
    ]
    broken = [{"subject_id": 0, "object_id": 7, "category_id": RIDE}]
    records.append({"file_name": "d.jpg", "annotations": boxes, "hoi_annotation": broken})
    (folder / "trainval_hico.json").write_text(json.dumps(records))
    for name in "abd":
        image(folder / "images", f"{name}.jpg")
    options = {"annotations": str(folder / "trainval_hico.json"), "images": str(folder / "images")}
    return {"format": "hico"} | options


def test_hico_rows_are_pairs_with_all_their_verbs_and_boxes_within_the_image(tmp_path: Path) -> None:
    data = load_relations([write_hico(tmp_path)])
    within = [30.0, 40.0, 100.0, 60.0]
    assert data.images["image_id"].to_pylist() == ["a", "b"]
    assert data.images.select(["width", "height"]).to_pylist() == [{"width": 100, "height": 80}] * 2
    assert facts(data) == [("person", MAN, "feed", "horse", within), ("person", MAN, "ride", "horse", within)]
    assert (data.categories, data.predicates) == (hico.objects(), hico.verbs())


def test_what_cannot_be_trained_on_is_counted(tmp_path: Path) -> None:
    part = write_hico(tmp_path)
    data = load_relations([part, part])
    once = {"unknown_verb": 1, "unknown_box": 1, "no_size": 1, "broken_image": 1}
    once |= {"repeated_row": 1, "row_of_empty_box": 1}
    assert data.reasons == {name: 2 * count for name, count in once.items()}


def test_a_recipe_prints_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {"out": "x", "data": [write_hico(tmp_path)], "model": {"kind": "parsed"}}
    load_data(settings_from(recipe))
    assert "data: 1 broken_image left out\n" in capsys.readouterr().out


def test_images_without_rows_stay_as_published_or_go(tmp_path: Path) -> None:
    part = write_hico(tmp_path)
    data = load_relations([part | {"keep_empty": False}])
    assert (len(data), data.reasons["image_without_rows"]) == (1, 1)


def test_a_cap_of_pairs_or_boxes_takes_the_first(tmp_path: Path) -> None:
    part = write_hico(tmp_path)
    assert facts(load_relations([part], max_pairs=0)) == []
    assert facts(load_relations([part | {"max_boxes": 1}])) == []
    assert len(load_relations([part | {"limit": 1}])) == 1


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"format": "hico"}, "data: hico: give annotations=FILE"),
        ({"format": "hico", "annotation": "x"}, "hico: unknown option annotation; choose from annotations"),
        (
            {"format": "vcoco", "annotations": "{folder}/vcoco.json"},
            "has actions without boxes: give instances",
        ),
    ],
)
def test_a_wrong_entry_is_one_sentence(tmp_path: Path, part: dict[str, Any], message: str) -> None:
    write_vcoco(tmp_path)
    part = {key: value.format(folder=tmp_path) for key, value in part.items()}
    with pytest.raises(ValueError, match=message):
        load_relations([part])


def write_vcoco(folder: Path) -> dict[str, Any]:
    """One image with two people: one stands and cuts with nothing visible, the actions of the other are not
    known."""
    boxes = [(11, 1, [10, 20, 30, 40]), (12, 1, [60, 10, 20, 60]), (13, 49, [5, 5, 10, 10])]
    annotations: list[dict[str, Any]] = [
        {"id": number, "image_id": 7, "category_id": kind, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for number, kind, box in boxes
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 49, "name": "knife"}]
    coco = {"images": [{"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "width": 100, "height": 80}]}
    document = {**coco, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))
    actions = []
    for name in ACTIONS:
        roles = {"hold": [13], "cut": [13, 0]}.get(name, [0] * len(ROLES[name]))
        label = [int(name in ("hold", "cut", "stand"))]
        entry = {"action_name": name, "image_id": [7], "ann_id": [11], "label": label}
        actions.append(entry | {"role_name": ["agent", *ROLES[name]], "role_object_id": [11, *roles]})
    (folder / "vcoco.json").write_text(json.dumps(actions))
    options = {"annotations": str(folder / "vcoco.json"), "instances": str(folder / "instances.json")}
    return {"format": "vcoco"} | options


def test_vcoco_roles_are_pairs_and_actions_without_objects_have_none(tmp_path: Path) -> None:
    data = load_relations([write_vcoco(tmp_path)])
    one, knife = [10.0, 20.0, 40.0, 60.0], [5.0, 5.0, 15.0, 15.0]
    assert sorted(facts(data), key=lambda fact: fact[2]) == [
        ("person", one, "cut", MISSING, None),
        ("person", one, "cut with", "knife", knife),
        ("person", one, "hold", "knife", knife),
        ("person", one, "stand", MISSING, None),
    ]
    assert data.predicates == PROMPTS
    assert data.categories == ["person", "knife", MISSING]
    assert len(data.boxes) == 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("world"), "hoi", 24, size=64)


def parts(world: Path, which: str) -> dict[str, dict[str, Any]]:
    """Entries for one half of the world's split, by format."""
    hico_file, vcoco_file = {"train": ("trainval_hico", "trainval"), "test": ("test_hico", "test")}[which]
    images = {"images": str(world / "images")}
    vcoco, open_images = str(world / "vcoco"), str(world / "open_images")
    names = f"{open_images}/OI_SGG_trainval_test_categories_dict.json"
    of_hico = {"format": "hico", "annotations": str(world / "hico" / f"{hico_file}.json")}
    csv = {
        "annotations": f"{open_images}/oidv6-{which}-annotations-vrd.csv",
        "sizes": f"{open_images}/sizes.csv",
    }
    return {
        "hico": of_hico | images | {"vocabulary": str(world / "hico" / "corre_hico.json")},
        "vcoco": {"format": "vcoco", "annotations": f"{vcoco}/vcoco_{vcoco_file}.json"}
        | images
        | {"instances": f"{vcoco}/instances_vcoco_all_2014.json"},
        "vcoco, converted": {"format": "vcoco", "annotations": f"{vcoco}/{vcoco_file}_vcoco.json"} | images,
        "open_images": {"format": "open_images", "annotations": f"{open_images}/OI_SGG_{which}.json"}
        | images
        | {"categories": names},
        "open_images, csv": {"format": "open_images"} | csv | images,
    }


def drawn(world: Path) -> dict[str, list[Fact]]:
    """Image -> what the world's own annotation says of it."""
    found: dict[str, list[Fact]] = {}
    for graph in json.loads((world / "scene_graphs.json").read_text()):
        things = {one["object_id"]: one for one in graph["objects"]}
        ends = {
            number: (one["names"][0], [one["x"], one["y"], one["x"] + one["w"], one["y"] + one["h"]])
            for number, one in things.items()
        }
        found[f"{graph['image_id']:06d}"] = [
            (*ends[row["subject_id"]], row["predicate"], *ends[row["object_id"]])
            for row in graph["relationships"]
        ]
    return found


def rounded(rows: list[Fact]) -> list[Any]:
    return sorted(
        (s, [round(v, 3) for v in box], p, o, None if other is None else [round(v, 3) for v in other])
        for s, box, p, o, other in rows
    )


@pytest.mark.parametrize("which", ["train", "test"])
def test_the_world_in_the_benchmarks_files_is_the_drawn_one(world: Path, which: str) -> None:
    gold = drawn(world)
    ids = [name for name in gold if (int(name) % 4 == 0) == (which == "test")]
    loaded = {name: load_relations([part]) for name, part in parts(world, which).items()}
    for name in ("hico", "open_images", "open_images, csv"):
        data = loaded[name]
        found = {key: facts(data, row) for row, key in enumerate(data.images["image_id"].to_pylist())}
        for key in ids:
            kept = [fact for fact in gold[key] if name != "hico" or fact[0] == "person"]
            assert rounded(found.get(key, [])) == rounded(kept)
    assert data.categories
    assert {name: len(loaded[name].categories) for name in ("hico", "vcoco", "open_images")} == {
        "hico": 29,
        "vcoco": 30,
        "open_images": 29,
    }
    official, converted = loaded["vcoco"], loaded["vcoco, converted"]
    shown = {"throw", "carry", "hold", "stand", "walk", "read"}
    assert shown & {fact[2] for row in range(len(official)) for fact in facts(official, row)}
    of_converted = {
        name: rounded(facts(converted, row))
        for row, name in enumerate(converted.images["image_id"].to_pylist())
    }
    for row, name in enumerate(official.images["image_id"].to_pylist()):
        assert rounded(facts(official, row)) == of_converted[name]


@pytest.mark.parametrize("name", ["hico", "vcoco", "open_images", "open_images, csv"])
def test_batches_are_made_of_every_format(world: Path, name: str) -> None:
    data = load_relations([parts(world, "train")[name]])
    options = BatchOptions(size=6, short_sides=(48,), long_side=80)
    labels = ClosedLabels(data)
    batch = Batches(data, options, 0, labels=labels).at(0)
    without = [(~target.has_object).sum() for target in batch.targets]
    assert (sum(map(int, without)) > 0) == (name == "vcoco")
    for target in batch.targets:
        named = [batch.labels.objects[code] for code in target.object_labels[~target.has_object]]
        assert set(named) <= {MISSING}


def test_data_sets_of_two_formats_are_joined(world: Path) -> None:
    one = parts(world, "train")
    both = load_relations([one["hico"], one["vcoco"]])
    of_vcoco = load_relations([one["vcoco"]])
    assert concatenate([of_vcoco]).missing is not None
    assert facts(both, len(both) - 1) == facts(of_vcoco, len(of_vcoco) - 1)

"""Zero-shot and few-shot training sets: which relations go, which images stay, and the file they are in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.data import hico
from relforge.data.relations import RelationData
from relforge.data.sources import load_relations
from relforge.demo.world.dataset import write_split


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The drawn world's HICO-DET files as an entry of `data`."""
    split = write_split(tmp_path_factory.mktemp("world"), "hoi", 48, size=64)
    files = {name: str(split / "hico" / name) for name in ("trainval_hico.json", "corre_hico.json")}
    named = {"annotations": files["trainval_hico.json"], "vocabulary": files["corre_hico.json"]}
    return {"format": "hico", "images": str(split / "images"), **named}


def facts(data: RelationData) -> set[tuple[str, int, int, str, str]]:
    """Image, subject, object, predicate, class of the object."""
    found = set()
    for index, image in enumerate(data.images["image_id"].to_pylist()):
        example = data[index]
        names = [data.categories[code] for code in example.object_categories]
        for (subject, end), name, codes in zip(
            example.pairs.tolist(), names, example.predicates, strict=True
        ):
            found |= {(image, subject, end, data.predicates[code], name) for code in codes}
    return found


def test_unseen_relations_go_and_their_images_stay(part: dict[str, Any]) -> None:
    whole = load_relations([part])
    every = facts(whole)
    (_, _, _, predicate, name) = sorted(every, key=lambda fact: (fact[3] == "next to", fact))[0]
    left = load_relations([part | {"unseen": ["next to", [predicate, name]]}])
    gone = {fact for fact in every if fact[3] == "next to" or fact[3:] == (predicate, name)}
    assert {fact[3] for fact in gone} == {"next to", predicate}
    assert facts(left) == every - gone
    assert left.images == whole.images
    assert np.array_equal(left.boxes, whole.boxes)
    assert all(len(codes) for index in range(len(left)) for codes in left[index].predicates)
    assert left.reasons["unseen_interaction"] == len(gone)


def test_a_split_of_hico_removes_its_interactions_alone(tmp_path: Path) -> None:
    # given one image with an interaction of the split and one that is seen
    verb, name = hico.unseen("UC-RF")[0]
    seen = next(pair for pair in hico.interactions() if pair[1] == name and pair not in hico.unseen("UC-RF"))
    number = {code: key for key, code in hico.coco_codes().items()}
    boxes = [{"bbox": [0, 0, 20, 20], "category_id": 1}]
    boxes += [{"bbox": [10, 10, 40, 40], "category_id": number[hico.objects().index(name)]}]
    rows = [
        {"subject_id": 0, "object_id": 1, "category_id": hico.verbs().index(one) + 1}
        for one in (verb, seen[0])
    ]
    record = {"file_name": "a.jpg", "width": 50, "height": 50, "annotations": boxes, "hoi_annotation": rows}
    (tmp_path / "trainval_hico.json").write_text(json.dumps([record]))
    data = load_relations(
        [{"format": "hico", "annotations": str(tmp_path / "trainval_hico.json"), "unseen": "UC-RF"}]
    )
    assert [fact[3:] for fact in facts(data)] == [(seen[0], name)]


def test_a_few_images_show_every_predicate_and_class_of_the_whole(part: dict[str, Any]) -> None:
    whole = load_relations([part])
    few = load_relations([part | {"few_shot": {"share": 0.01}}])
    assert len(few) < len(whole)
    for place in (3, 4):
        assert {fact[place] for fact in facts(few)} == {fact[place] for fact in facts(whole)}
    assert facts(few) <= facts(whole)
    half = load_relations([part | {"few_shot": {"share": 0.9}}])
    assert len(half) == int(0.9 * len(whole))


def test_the_list_is_drawn_by_seed_and_kept(part: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "lists" / "few.json"
    drawn = {"share": 0.5, "seed": 3}
    first = load_relations([part | {"few_shot": drawn | {"list": str(path)}}])
    again = load_relations([part | {"few_shot": drawn}])
    other = load_relations([part | {"few_shot": {"share": 0.5, "seed": 4}}])
    read = load_relations([part | {"few_shot": {"list": str(path)}}])
    assert first.images == again.images == read.images != other.images
    kept = json.loads(path.read_text())
    assert (kept["share"], kept["seed"]) == (0.5, 3)
    assert kept["images"] == first.images["image_id"].to_pylist()
    with pytest.raises(ValueError, match=r"few\.json was drawn with seed 3, not 4"):
        load_relations([part | {"few_shot": {"share": 0.5, "seed": 4, "list": str(path)}}])
    path.write_text(json.dumps({"images": ["elsewhere"]}))
    with pytest.raises(ValueError, match="image 'elsewhere' is not in the data"):
        load_relations([part | {"few_shot": {"list": str(path)}}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"few_shot": 0.1}, r"few_shot: expected a mapping such as \{share: 0\.01\}"),
        ({"few_shot": {"share": 10}}, "few_shot: 10.0 is no share"),
        ({"few_shot": {"shares": 0.1}}, "few_shot: unknown option shares; choose from share, seed, list"),
        ({"few_shot": {"list": "absent.json"}}, r"give share, such as 0\.01: absent\.json is not there"),
        ({"unseen": "UC"}, "no split 'UC'"),
        ({"unseen": [["a", "b", "c"]]}, "is neither a predicate nor"),
    ],
)
def test_a_wrong_subset_is_one_sentence(part: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_relations([part | options])

"""The stage `image_labels`: claims, votes, states, reasons, and the drawn world's record of what was said."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import yaml

from relforge.data.image_labels import read_image_labels
from relforge.demo.world.captions import VERBS
from relforge.demo.world.dataset import write_split
from relforge.stages.contract import StageResult
from relforge.stages.image_labels.stage import ImageLabelsStage
from relforge.stages.image_labels.votes import vote
from relforge.stages.interactions import read_interactions
from relforge.stages.tables import SCHEMAS
from tests.cli.conftest import Relforge
from tests.fixtures.sentence_encoders import write_bert


def triplet(image: str, caption: int, subject: str, lemma: str, object_: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SCHEMAS["triplets"].names)
    row |= {"image_id": image, "caption_id": caption, "triplet_id": 0, "parser": "test"}
    for end, words in (("subject", subject), ("object", object_)):
        row |= {end: words, f"{end}_head": words.split()[-1], f"{end}_lemma": words}
    return row | {"predicate": lemma, "predicate_lemma": lemma}


def label(
    rows: list[dict[str, Any]],
    boxes: dict[str, list[str]],
    captions: int = 10,
    regions: list[dict[str, Any]] | None = None,
    **options: Any,
) -> tuple[dict[tuple[str, str], dict[str, Any]], StageResult]:
    """Labels by (image, label), and the result; every image of `boxes` has that many captions."""
    said = [
        {"image_id": image, "caption_id": n, "text": "x", "source": "test", "seed": None, "logprob": None}
        for image in boxes
        for n in range(captions)
    ]
    placed = []
    for image, names in boxes.items():
        for number, name in enumerate(names):
            box = dict.fromkeys(("x", "y"), 0.0) | dict.fromkeys(("w", "h"), 5.0)
            placed.append(
                {"image_id": image, "box_id": number, "category": name, "iscrowd": False, "source_id": ""}
                | box
            )
    tables = {
        "triplets": pa.Table.from_pylist(rows, schema=SCHEMAS["triplets"]),
        "captions": pa.Table.from_pylist(said, schema=SCHEMAS["captions"]),
        "boxes": pa.Table.from_pylist(placed, schema=SCHEMAS["boxes"]),
    }
    if regions is not None:
        tables["regions"] = pa.Table.from_pylist(regions)
        options["regions"] = True
    stage = ImageLabelsStage(**options)
    stage.files()
    result = stage.process(tables)
    assert result.kept + sum(result.dropped.values()) == len(rows)
    found = {(row["image_id"], row["label"]): row for row in result.tables["image_labels"].to_pylist()}
    return found, result


def test_two_of_ten_captions_make_an_interaction_positive_and_one_leaves_it_open() -> None:
    rows = [triplet("a", n, "a man", "eat", "an apple") for n in (3, 4)]
    rows.append(triplet("a", 5, "a man", "peel", "an apple"))

    found, result = label(rows, {"a": ["person", "apple"]})

    eaten = found["a", "eat apple"]
    assert (eaten["state"], eaten["support"], eaten["caption_ids"], eaten["reason"]) == (
        1,
        2,
        [3, 4],
        "voted",
    )
    assert eaten["probability"] == pytest.approx(0.2)
    assert (found["a", "peel apple"]["state"], found["a", "peel apple"]["reason"]) == (0, "below_support")
    assert (found["a", "hold apple"]["state"], found["a", "hold apple"]["reason"]) == (1, "implied")
    assert (found["a", "buy apple"]["state"], found["a", "buy apple"]["reason"]) == (0, "silence")
    assert found["a", "no interaction apple"]["state"] == 0
    assert ("a", "ride horse") not in found
    assert (result.kept, result.dropped) == (2, {"below_support": 1})


def test_every_triplet_ends_as_used_or_under_one_reason() -> None:
    rows = [
        triplet("a", 0, "a man", "ride", "a horse"),
        triplet("a", 1, "two women", "ride on", "the pony"),
        triplet("a", 2, "a horse", "be ridden by", "a girl"),
        triplet("a", 3, "a dog", "ride", "a horse"),
        triplet("a", 4, "a man", "ride", "a unicorn"),
        triplet("a", 5, "a man", "dream of", "a horse"),
        triplet("a", 6, "a man", "eat", "a horse"),
        triplet("a", 7, "a man", "next to", "a horse"),
        triplet("a", 8, "a man", "hold", "a pizza"),
        triplet("a", 9, "a man", "kiss", "a horse"),
    ]

    found, result = label(rows, {"a": ["horse"]})

    assert found["a", "ride horse"]["support"] == 2  # "be ridden by" has no lemma of ride
    assert result.kept == 2
    assert result.dropped == {
        "not_a_person": 2,
        "unknown_object": 1,
        "unknown_verb": 2,
        "not_in_vocabulary": 1,
        "object_not_seen": 1,
        "below_support": 1,
    }


def test_a_passive_is_turned_round() -> None:
    rows = [triplet("a", n, "a horse", "ride by", "a man") for n in range(2)]

    found, result = label(rows, {"a": ["horse"]})

    assert found["a", "ride horse"]["state"] == 1
    assert result.dropped == {}


def test_an_object_without_a_box_counts_when_two_captions_name_it() -> None:
    rows = [triplet("a", n, "a man", "hold", "a cat") for n in (0, 1)]

    found, _ = label(rows, {"a": []})
    alone, result = label(rows[:1], {"a": []}, captions=2)

    assert found["a", "hold cat"]["state"] == 1
    assert alone == {}
    assert result.dropped == {"object_not_seen": 1}


def test_what_implies_a_positive_stays_open_and_negatives_are_only_made_when_asked() -> None:
    rows = [triplet("a", n, "a man", "sit on", "a bicycle") for n in range(3)]

    ignored, _ = label(rows, {"a": ["bicycle"]})
    negative, _ = label(rows, {"a": ["bicycle"]}, silence="negative")
    few, _ = label(rows, {"a": ["bicycle"]}, captions=4, silence="negative")

    assert (ignored["a", "ride bicycle"]["reason"], ignored["a", "ride bicycle"]["state"]) == (
        "would_imply",
        0,
    )
    assert ignored["a", "wash bicycle"]["state"] == 0
    assert negative["a", "wash bicycle"]["state"] == -1
    assert negative["a", "ride bicycle"]["state"] == 0
    assert (few["a", "wash bicycle"]["state"], few["a", "wash bicycle"]["reason"]) == (0, "few_captions")


def test_only_the_likeliest_interactions_are_kept() -> None:
    rows = [triplet("a", n, "a man", verb, "a dog") for verb in ("pet", "walk", "wash") for n in range(3)]
    rows.append(triplet("a", 3, "a man", "pet", "a dog"))

    found, result = label(rows, {"a": ["dog"]}, limit=1)

    assert [name for (_, name), row in found.items() if row["state"] == 1] == ["pet dog"]
    assert found["a", "walk dog"]["reason"] == "beyond_limit"
    assert result.dropped == {"beyond_limit": 6}


def test_regions_vote_for_themselves_and_are_joined() -> None:
    said = {("ride", "horse"): {0, 4}}
    captions = {0: -1, 1: -1, 2: -1, 3: -1, 4: 0, 5: 0}

    assert vote(said, captions)["ride", "horse"] == pytest.approx(1 - 0.75 * 0.5)
    assert vote(said, captions, "max")["ride", "horse"] == 0.5
    assert vote(said, captions, "mean")["ride", "horse"] == pytest.approx((0.25 + 0.5) / 2)

    rows = [triplet("a", n, "a man", "ride", "a horse") for n in (0, 4)]
    found, _ = label(
        rows, {"a": ["horse"]}, 6, regions=[{"image_id": "a", "region": 0, "caption_ids": [4, 5]}]
    )
    assert found["a", "ride horse"]["probability"] == pytest.approx(1 - 0.75 * 0.5)


def test_wordings_and_implications_are_files_that_users_edit(tmp_path: Path) -> None:
    (tmp_path / "table.yaml").write_text("[[hugging, dog], [holding, dog]]")
    (tmp_path / "forms.yaml").write_text("{verbs: {hugging: [squish]}, particles: [tight]}")
    (tmp_path / "implies.yaml").write_text("[{verbs: [hugging], implies: [holding]}]")
    rows = [triplet("a", n, "a man", "squish tight", "a dog") for n in range(2)]
    given = {name: str(tmp_path / f"{name}.yaml") for name in ("table", "forms", "implies")}
    options: dict[str, Any] = {
        "interactions": given["table"],
        "verb_forms": given["forms"],
        "implies": given["implies"],
    }

    found, _ = label(rows, {"a": ["dog"]}, **options)

    assert {name: row["state"] for (_, name), row in found.items()} == {"hugging dog": 1, "holding dog": 1}
    (tmp_path / "forms.yaml").write_text("{verbs: {hugging: squish}}")
    with pytest.raises(ValueError, match=r"forms.yaml: verbs.hugging: expected a list of wordings"):
        label(rows, {"a": []}, **options)


def test_a_predicate_without_wording_goes_to_the_likest_verb_of_its_object(tmp_path: Path) -> None:
    encoder = str(write_bert(tmp_path / "bert"))
    (tmp_path / "table.yaml").write_text("[[eat, apple], [ride, horse]]")
    rows = [triplet("a", n, "a man", "riding the", "an apple") for n in range(2)]
    rows += [triplet("a", n, "a man", "riding the", "a car") for n in range(2)]
    options: dict[str, Any] = {"interactions": str(tmp_path / "table.yaml"), "encoder": encoder}

    found, result = label(rows, {"a": ["apple"]}, soft=0.01, pooling="mean", **options)

    # only the verbs of the object compete, and an object that no interaction has stays unknown
    assert [(name, row["state"]) for (_, name), row in found.items()] == [("eat apple", 1)]
    assert result.dropped == {"unknown_object": 2}
    strict, result = label(rows, {"a": ["apple"]}, soft=1.0, **options)
    assert [row["state"] for row in strict.values()] == [0]
    assert result.dropped == {"unknown_object": 2, "unknown_verb": 2}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"join": "sum"}, "image_labels.join: 'sum'; choose one of noisy_or, max, mean"),
        ({"positive": 0}, "image_labels.positive: 0 is no share"),
        ({"silence": "loud"}, "image_labels.silence: 'loud'; choose ignore or negative"),
        ({"soft": 0.5}, "image_labels.soft: give a cosine up to 1 and an `encoder`"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ImageLabelsStage(**options)


def test_every_verb_of_hico_has_an_own_wording_and_listed_ones_are_of_hico() -> None:
    table = read_interactions("hico600")
    listed = yaml.safe_load((Path(__file__).parents[3] / "stages/image_labels/verb_forms.yaml").read_text())[
        "verbs"
    ]

    assert set(listed) == {verb for verb, _ in table} - {"no interaction"}


@pytest.mark.slow
def test_labels_of_oracle_captions_are_what_the_world_recorded_as_said(
    tmp_path: Path, relforge: Relforge
) -> None:
    world = write_split(tmp_path, "caption", 50, look_alikes=0.0)
    said: dict[str, set[str]] = defaultdict(set)
    table = set()
    for row in json.loads((world / "said.json").read_text()):
        for subject, verb, object_ in row["facts"]:
            if subject == "person" and verb in VERBS:
                said[str(row["image_id"])].add(f"{verb} {object_}")
                table.add((verb, object_))
    (tmp_path / "table.yaml").write_text(json.dumps(sorted(map(list, table))))
    labels = {"interactions": str(tmp_path / "table.yaml"), "synonyms": [str(world / "synonyms.json")]}
    config = {
        "dataset": {
            "name": "world",
            "split": "caption",
            "format": "visual_genome",
            "annotations": str(world / "scene_graphs.json"),
            "images": str(world / "images" / "{image_id:0>6}.jpg"),
        },
        "run": {"folder": str(tmp_path / "run"), "shard_images": 20},
        "stages": {
            "caption": {"backend": "oracle", "files": str(world / "captions.json")},
            "parse": {"backend": "relforge"},
            "image_labels": {"backend": "interactions", **labels},
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))

    ran = relforge("run", tmp_path / "config.yaml", "--executor", "loop")

    assert ran.code == 0, ran.err
    rows = ds.dataset(tmp_path / "run" / "image_labels").to_table().to_pylist()
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["state"] == 1:
            found[row["image_id"]].add(row["label"])
    assert found == said
    assert sum(map(len, said.values())) > 50

    report = relforge("report", tmp_path / "run")
    assert report.code == 0, report.err
    assert f"each of the {len(table)} interactions has a positive image" in report.out

    # the same table as training data reads it, beside what the source annotated
    read = read_image_labels(str(tmp_path / "run"), labels="image_labels")
    assert int((read.states == 1).sum()) == sum(map(len, said.values()))
    gold = read_image_labels(str(tmp_path / "run"), interactions=read.interactions)
    assert ((gold.states == 1) | (read.states != 1)).all()  # captions of the world tell no lies

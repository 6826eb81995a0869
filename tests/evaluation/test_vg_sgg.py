"""`relforge eval vg_sgg` on files: VG150, a folder of scene graphs, a table of detections, a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.cli.app import invoke
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.evaluator import Result
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.scene_graph_folder import BOXES, RELATIONS
from relforge.evaluation.scene_graph_quality import group_predicates
from relforge.evaluation.scene_graph_recall import CUTS
from relforge.evaluation.vg_sgg import VgSggEvaluator
from relforge.stages.export import export
from relforge.stages.export.vg150 import FILES
from relforge.stages.tables import SCHEMAS, conform

PLACES = {"man": (0, 0, 40, 60), "horse": (10, 40, 60, 60), "hat": (10, 0, 20, 12), "dog": (70, 60, 30, 30)}
"""Class -> the one box that it has in every image of 128 x 128, on the grid of VG150's units."""
TRAINING = {"t1": [("man", "riding", "horse"), ("man", "wearing", "hat")], "t2": [("man", "wearing", "hat")]}
TEST = {
    "a": [("man", "riding", "horse"), ("man", "wearing", "hat")],
    "b": [("dog", "near", "horse"), ("man", "riding", "horse")],
    "c": [("man", "near", "dog")],
}
FACT = tuple[str, str, str]


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    blank = dict.fromkeys(SCHEMAS[name].names)
    return conform(name, pa.Table.from_pylist([blank | row for row in rows], SCHEMAS[name]))


def tables(content: dict[str, list[FACT]], split: str = "test") -> dict[str, pa.Table]:
    """Images with all four boxes and these relations."""
    images = [
        {"image_id": i, "dataset": "d", "split": split, "width": 128, "height": 128, "uri": f"{i}.jpg"}
        for i in content
    ]
    boxes = [
        {"image_id": i, "box_id": k, "category": name, "iscrowd": False, "source_id": str(k)}
        | dict(zip("xywh", map(float, box), strict=True))
        for i in content
        for k, (name, box) in enumerate(PLACES.items())
    ]
    order = list(PLACES)
    gold = [
        {"image_id": i, "predicate": p, "subject_box": order.index(s), "object_box": order.index(o)}
        for i, facts in content.items()
        for s, p, o in facts
    ]
    return {name: table(name, rows) for name, rows in (("images", images), ("boxes", boxes), ("gold", gold))}


@pytest.fixture
def vg150(tmp_path: Path) -> dict[str, Any]:
    """Options of the evaluator for VG150's files: two training images, three test images."""
    shards = [tables(TRAINING, "train"), tables(TEST, "test")]
    export("vg150", iter(shards), str(tmp_path / "vg150"))
    return vg150_files(tmp_path / "vg150") | {"val_images": 0}


def vg150_files(folder: Path) -> dict[str, Any]:
    names = ("annotations", "dictionary", "image_data")
    return dict(zip(names, (str(folder / name) for name in FILES), strict=True))


def graph_folder(
    folder: Path, content: dict[str, list[FACT]], *, scores: bool = True, shift: float = 0
) -> str:
    """Predictions in rank order, boxes `shift` pixels to the right."""
    order = list(PLACES)
    boxes = [
        {"image_id": i, "box_id": k, "category": name, "x": x + shift, "y": y, "w": w, "h": h, "score": 0.9}
        for i in content
        for k, (name, (x, y, w, h)) in enumerate(PLACES.items())
    ]
    predicates = ["near", "riding", "wearing"]
    relations = [
        {"image_id": i, "predicate": p, "subject_box": order.index(s), "object_box": order.index(o)}
        | {"predicate_scores": [0.8 if name == p else 0.3 if name == "near" else 0.0 for name in predicates]}
        for i, facts in content.items()
        for s, p, o in facts
    ]
    folder.mkdir()
    for name, rows, schema, optional in (
        ("boxes", boxes, BOXES, "score"),
        ("relations", relations, RELATIONS, "predicate_scores"),
    ):
        kept = [f for f in schema if (scores or f.name != optional) and f.name in rows[0]]
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(kept)), folder / f"{name}.parquet")
    return str(folder)


FOUND = {
    "a": [("man", "near", "horse"), ("man", "wearing", "hat")],  # a wrong one first
    "b": [("man", "riding", "horse"), ("dog", "near", "horse")],
}


def measured(target: str, **options: Any) -> Result:
    evaluator = VgSggEvaluator(**options)
    gold = evaluator.read_gold(target)
    return evaluator.measure(evaluator.read_detections(target, gold), gold)


def values(result: Result, cut: int = 20) -> dict[str, float]:
    found = {name: one.value for name, one in result.measures.items() if name.endswith(f"@{cut}")}
    return {name.removesuffix(f"@{cut}"): value for name, value in found.items()}


def test_recall_is_the_mean_over_images_and_mean_recall_that_over_predicates(
    vg150: dict[str, Any], tmp_path: Path
) -> None:
    result = measured(graph_folder(tmp_path / "found", FOUND), **vg150)

    # a: one of two, b: both, c: no prediction; near is found in b of b and c, riding in b of a and b
    assert values(result) == pytest.approx(
        {"R": 0.5, "ng-R": 2 / 3, "zR": 0.5, "ng-zR": 0.5, "mR": 2 / 3, "ng-mR": 2.5 / 3}
    )
    assert result.counts == {
        "images": 3, "images without predictions": 1, "images without gold relations": 0, "gold": 5,
        "predictions": 4, "zero-shot gold": 2,
    }  # fmt: skip
    rows = {row["predicate"]: row for row in result.classes}
    assert {name: (row["gold"], row["training"]) for name, row in rows.items()} == {
        "near": (2, 0), "riding": (2, 1), "wearing": (1, 2)
    }  # fmt: skip
    assert [rows[name]["group"] for name in ("wearing", "riding", "near")] == ["head", "body", "tail"]
    for group, recall in (("head", 1.0), ("body", 0.5), ("tail", 0.5)):
        assert result.measures[f"mR@50 {group}"].value == recall


def test_the_published_rule_leaves_out_images_without_predictions(
    vg150: dict[str, Any], tmp_path: Path
) -> None:
    result = measured(graph_folder(tmp_path / "found", FOUND), **vg150, count_missing=False)

    assert values(result)["R"] == pytest.approx(0.75)
    assert result.options["count_missing"] is False


def test_all_predicates_of_a_pair_compete_without_the_constraint(
    vg150: dict[str, Any], tmp_path: Path
) -> None:
    found = {"c": [("man", "wearing", "dog")]}  # but near is the second best

    result = measured(graph_folder(tmp_path / "found", found), **vg150)

    assert (values(result)["R"], values(result)["ng-R"]) == (0.0, pytest.approx(1 / 3))


@pytest.mark.parametrize(("mode", "recall"), [("sgdet", 0.0), ("sgcls", 0.5), ("predcls", 0.5)])
def test_boxes_are_given_in_the_other_modes(
    mode: str, recall: float, vg150: dict[str, Any], tmp_path: Path
) -> None:
    target = graph_folder(tmp_path / "found", FOUND, shift=60)

    result = measured(target, **vg150, mode=mode)

    assert values(result)["R"] == pytest.approx(recall)
    assert result.options["mode"] == mode
    # of annotated pairs: a has one right of two, b two of two, c nothing: 3 of 5
    assert values(result).get("A") == (None if mode == "sgdet" else pytest.approx(0.6))


def test_predictions_with_another_number_of_boxes_were_not_given_these(
    vg150: dict[str, Any], tmp_path: Path
) -> None:
    target = graph_folder(tmp_path / "found", FOUND)
    boxes = pq.read_table(f"{target}/boxes.parquet")
    pq.write_table(boxes.filter(pa.array([i != 3 for i in range(len(boxes))])), f"{target}/boxes.parquet")

    with pytest.raises(ValueError, match="3 boxes are predicted for an image with 4 annotated ones"):
        measured(target, **vg150, mode="predcls")


def test_the_prior_ranks_the_same_pairs_by_what_training_shows(vg150: dict[str, Any], tmp_path: Path) -> None:
    result = measured(graph_folder(tmp_path / "found", FOUND), **vg150)

    # man, horse is riding in training, and man, hat wearing: a has both; dog, horse is in no training image
    assert result.measures["R@20"].prior == pytest.approx((1 + 0.5) / 3)
    assert result.options["prior"] == "training set"


def test_a_table_of_detections_is_ranked_by_score_one_predicate_a_pair(
    vg150: dict[str, Any], tmp_path: Path
) -> None:
    rows = [
        ("a", "man", "near", "horse", 0.9),
        ("a", "man", "riding", "horse", 0.8),
        ("z", "man", "on", "hat", 1.0),
    ]
    image, subject, predicate, object_, score = (np.array(c, object) for c in zip(*rows, strict=True))
    first, second = (
        np.array([(x, y, x + w, y + h) for x, y, w, h in (PLACES[n] for n in names)], float)
        for names in (subject, object_)
    )
    pairs = Pairs(image, subject, predicate, object_, first, second, score.astype(float))
    write_detections(pairs, tmp_path / "found.parquet")

    result = measured(str(tmp_path / "found.parquet"), **vg150)

    assert (values(result)["R"], values(result)["ng-R"]) == (0.0, pytest.approx(0.5 / 3))
    assert result.counts["predictions of other images"] == 1


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run folder whose labels are right for one of two relations of image a, in other words."""
    content = tables({"a": TEST["a"], "b": TEST["b"]})
    score = {
        "position": 0,
        "support": 1,
        "caption_ids": [0],
        "triplet_ids": [],
        "rule": "head|head",
        "claim_id": 0,
        "alternatives": 1,
        "tagger": "t",
    }
    facts = [("riding", 0, 1, 0.9), ("eating", 0, 2, 0.8)]
    labels = [
        {"image_id": "a", "predicate": p, "subject_box": s, "object_box": o, "score": n, "relation_id": p}
        | score
        for p, s, o, n in facts
    ]
    content |= {"relations": table("relations", labels)}
    for name, rows in content.items():
        (tmp_path / "run" / name).mkdir(parents=True)
        pq.write_table(rows, tmp_path / "run" / name / "part-00000.parquet")
    return str(tmp_path / "run")


def test_the_labels_of_a_run_are_predictions_of_given_boxes(run: str) -> None:
    result = measured(run)

    assert values(result) == pytest.approx(
        {"R": 0.25, "ng-R": 0.25, "mR": (0 + 0.5 + 0) / 3, "ng-mR": 0.5 / 3, "A": 0.25}
    )
    assert (result.options["mode"], result.counts["images without predictions"]) == ("predcls", 1)
    assert result.options["prior"] == "other half of the gold"


def test_names_of_a_run_are_mapped_to_a_closed_list(run: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("predicates: {riding: [], wearing: [eating]}")

    result = measured(run, labels=str(tmp_path / "mine.yaml"))

    assert values(result)["R"] == pytest.approx(0.5)  # `near` of image b is in no list
    assert result.counts["gold relations of other classes or predicates"] == 1
    assert [row["predicate"] for row in result.classes] == ["riding", "wearing"]


def test_groups_are_thirds_by_frequency_or_parted_by_counts() -> None:
    counts = np.array([5, 900, 20, 20000, 3, 10000, 600])

    assert group_predicates(counts) == ["tail", "body", "tail", "head", "tail", "head", "body"]
    # more than 10,000; at least 500
    assert group_predicates(counts, [10000, 500]) == ["tail", "body", "tail", "head", "tail", "body", "body"]
    assert group_predicates(np.array([1, 1]), [10000, 500]) == ["tail", "tail"]


def test_the_command_prints_all_of_it(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["eval", "vg_sgg", run, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["protocol"], len(found["classes"])) == ("vg_sgg", "speaq", 3)
    assert invoke(["eval", "vg_sgg", run]) == 0
    printed = capsys.readouterr().out
    assert "images without predictions" in printed
    assert "mR@100 tail" in printed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"protocol": "coco"}, "protocol: 'coco'; choose one of speaq, sgb"),
        ({"mode": "phrdet"}, "mode: 'phrdet'; choose one of sgdet, sgcls, predcls"),
        ({"split": "dev"}, "split: 'dev'; choose one of all, train, val, test"),
        ({"relations": "gold"}, "relations: 'gold'; choose one of relations, scores"),
        ({"groups": [1, 2]}, r"groups: give \[head, body\]"),
        ({"annotations": "VG-SGG-with-attri.h5"}, "has numbers for names and images: give dictionary="),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        VgSggEvaluator(**options)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            {"relations.parquet": None},
            "is no run folder with gold of its own|does not exist|not Parquet|no column",
        ),
        ({"boxes.parquet": ["w"]}, r"boxes\.parquet has no column 'w'"),
        ({"relations.parquet": ["predicate"]}, r"relations\.parquet has no column 'predicate'"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(
    damage: dict[str, Any], sentence: str, vg150: dict[str, Any], tmp_path: Path
) -> None:
    target = graph_folder(tmp_path / "found", FOUND)
    for name, columns in damage.items():
        if columns is None:
            Path(target, name).unlink()
        else:
            pq.write_table(pq.read_table(f"{target}/{name}").drop_columns(columns), f"{target}/{name}")

    with pytest.raises(ValueError, match=sentence) as refused:
        measured(target, **vg150)

    assert "\n" not in str(refused.value)


def test_scores_of_another_number_of_predicates_are_refused(vg150: dict[str, Any], tmp_path: Path) -> None:
    target = graph_folder(tmp_path / "found", FOUND)
    relations = pq.read_table(f"{target}/relations.parquet")
    place = relations.column_names.index("predicate_scores")
    short = pa.array([[0.5]] * len(relations))
    pq.write_table(relations.set_column(place, "predicate_scores", short), f"{target}/relations.parquet")

    with pytest.raises(ValueError, match="a relation has 1 scores, the gold has 3 predicates"):
        measured(target, **vg150)


def test_a_relation_of_a_box_that_is_not_there_is_refused(vg150: dict[str, Any], tmp_path: Path) -> None:
    target = graph_folder(tmp_path / "found", FOUND)
    relations = pq.read_table(f"{target}/relations.parquet")
    place = relations.column_names.index("object_box")
    far = pa.array([9] * len(relations), pa.int64())
    pq.write_table(relations.set_column(place, "object_box", far), f"{target}/relations.parquet")

    with pytest.raises(ValueError, match="image a: object_box 9 is not among its boxes"):
        measured(target, **vg150)


def test_predictions_of_other_images_alone_are_refused(vg150: dict[str, Any], tmp_path: Path) -> None:
    target = graph_folder(tmp_path / "found", {"z": FOUND["a"]})

    with pytest.raises(ValueError, match="no prediction is of an image of the gold, whose ids are like 'a'"):
        measured(target, **vg150)


def test_a_zero_shot_file_that_is_none_is_refused(vg150: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "zero.pytorch").write_text("hello")

    with pytest.raises(ValueError, match=r"zero\.pytorch is no torch file"):
        measured(graph_folder(tmp_path / "found", FOUND), **vg150, zero_shot=str(tmp_path / "zero.pytorch"))


def test_sgbench_has_the_same_recall_where_definitions_agree(tmp_path: Path) -> None:
    """Distinct gold, boxes that match one annotated box at most, predictions for every image."""
    sgbench = pytest.importorskip(
        "sgbench", reason="the second opinion is not installed: pip install --no-deps sgbench"
    )
    rng = np.random.default_rng(0)
    names, predicates = list(PLACES), ["near", "riding", "wearing"]

    def draw(count: int) -> list[FACT]:
        picked = rng.choice(36, count, replace=False)
        ends = [(s, o) for s in names for o in names if s != o]
        return [(ends[n // 3][0], predicates[n % 3], ends[n // 3][1]) for n in picked.tolist()]

    test = {str(k): draw(6) for k in range(10)}
    found = {str(k): draw(25) for k in range(10)}
    export("vg150", iter([tables(test)]), str(tmp_path / "vg150"))
    gold = [
        np.array([(names.index(s), names.index(o), predicates.index(p)) for s, p, o in facts])
        for facts in test.values()
    ]
    matched = [
        np.array([(names.index(s), names.index(o), predicates.index(p)) for s, p, o in facts])
        for facts in found.values()
    ]

    result = measured(graph_folder(tmp_path / "found", found), **vg150_files(tmp_path / "vg150"))

    for cut in CUTS:
        per_image = [
            sgbench.recall(k=cut, mean=False, gt_triplets=g, matched_triplets=m, num_predicates=3)
            for g, m in zip(gold, matched, strict=True)
        ]
        assert result.measures[f"R@{cut}"].value == pytest.approx(np.mean(per_image), abs=1e-12)
        means = [
            sgbench.recall(k=cut, mean=True, gt_triplets=g, matched_triplets=m, num_predicates=3)
            for g, m in zip(gold, matched, strict=True)
        ]
        mean = np.nanmean(np.stack(means), axis=0).mean()
        assert result.measures[f"mR@{cut}"].value == pytest.approx(mean, abs=1e-12)

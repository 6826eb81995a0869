"""`relforge eval` on the official files of HICO-DET, V-COCO and Open Images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.cli.app import invoke
from relforge.data import hico
from relforge.data.vcoco_actions import ACTIONS, COLUMNS, ROLES

MAN, BALL = [0, 0, 99, 199], [200, 0, 299, 99]


def table(path: Path, rows: list[dict[str, Any]]) -> str:
    """Detections; boxes are given as corners."""
    flat = []
    for one in rows:
        row = {name: value for name, value in one.items() if name not in ("subject_box", "object_box")}
        for end in ("subject", "object"):
            box = one[f"{end}_box"]
            sides = (None,) * 4 if box is None else (box[0], box[1], box[2] - box[0], box[3] - box[1])
            row |= {f"{end}_{side}": value for side, value in zip("xywh", sides, strict=True)}
        flat.append(row)
    pq.write_table(pa.Table.from_pylist(flat), path)
    return str(path)


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert invoke(["eval", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert invoke(["eval", *arguments]) == 64
    return capsys.readouterr().err


def values(found: dict[str, Any]) -> dict[str, float]:
    return {name: one["value"] for name, one in found["measures"].items()}


# --- HICO-DET


def hico_list(path: Path, *images: tuple[str, list[tuple[str, str]]]) -> str:
    """Images with these (verb, object), the object's box beside the person's."""
    coco = {hico.objects()[code]: number for number, code in hico.coco_codes().items()}
    records = []
    for name, rows in images:
        boxes = [{"bbox": MAN, "category_id": 1}]
        boxes += [{"bbox": BALL, "category_id": coco[of]} for _, of in rows]
        hois = [
            {"subject_id": 0, "object_id": place + 1, "category_id": hico.verbs().index(verb) + 1}
            for place, (verb, _) in enumerate(rows)
        ]
        records.append({"file_name": f"{name}.jpg", "annotations": boxes, "hoi_annotation": hois})
    path.write_text(json.dumps(records))
    return str(path)


def hico_row(image: str, verb: str, of: str, score: float, **more: float) -> dict[str, Any]:
    names = {"image_id": image, "subject": "person", "predicate": verb, "object": of}
    return names | {"subject_box": MAN, "object_box": BALL, "score": score} | more


@pytest.fixture
def hico_files(tmp_path: Path) -> tuple[str, str, str]:
    """A horse ridden on one image and fed on another, a bicycle ridden on a third; training shows riding."""
    gold = hico_list(
        tmp_path / "test_hico.json",
        ("a", [("ride", "horse")]),
        ("b", [("feed", "horse")]),
        ("c", [("ride", "bicycle")]),
        ("d", []),
    )
    training = hico_list(tmp_path / "trainval_hico.json", *[(str(n), [("ride", "horse")]) for n in range(10)])
    rows = [hico_row("a", "ride", "horse", 0.9), hico_row("b", "feed", "horse", 0.8)]
    rows += [hico_row("c", "ride", "horse", 0.95), hico_row("elsewhere", "ride", "horse", 0.99)]
    return gold, training, table(tmp_path / "found.parquet", rows)


def test_hico_in_600_kinds_rare_and_not(
    hico_files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gold, training, detections = hico_files
    found = measured(capsys, "hico", detections, f"annotations={gold}", f"training={training}")
    assert found["protocol"] == "official"
    assert found["counts"] == {
        "images": 4,
        "gold": 3,
        "detections": 3,
        "detections of unknown images": 1,
    }
    # riding a horse: half precision, for the horse that is not on the third image
    assert values(found)["mean_average_precision"] == pytest.approx(1.5 / 600)
    assert values(found)["mean_average_precision_non_rare"] == pytest.approx(0.5)
    assert values(found)["mean_average_precision_rare"] == pytest.approx(1.0 / 599)
    assert found["options"]["prior"] == "training file"


def test_known_object_measures_a_kind_where_its_object_is(
    hico_files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gold, _, detections = hico_files
    found = measured(capsys, "hico", detections, f"annotations={gold}", "setting=known_object")
    assert values(found)["mean_average_precision"] == pytest.approx(2 / 600)


def test_rlipv2_averages_the_annotated_kinds(
    hico_files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gold, _, detections = hico_files
    found = measured(capsys, "hico", detections, f"annotations={gold}", "protocol=rlipv2")
    assert values(found)["mean_average_precision"] == pytest.approx(1.5 / 3)
    assert found["options"] | {"top": 100, "nms": "1, 0.5, 0.7"} == found["options"]


def test_a_zero_shot_split_is_reported_apart(
    hico_files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gold, _, detections = hico_files
    found = measured(capsys, "hico", detections, f"annotations={gold}", "split=UV")
    unseen = [row for row in found["classes"] if row["unseen"]]
    assert {(row["predicate"], row["object"]) for row in unseen} == set(hico.unseen("UV"))
    assert values(found)["mean_average_precision_unseen"] == pytest.approx(1.5 / 84)  # feed and ride


def test_mask_cut_and_score_formula_are_options_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = hico_list(tmp_path / "test_hico.json", ("a", [("ride", "horse")]))
    rows = [
        hico_row("a", "ride", "horse", 0.1, relation_score=0.9, object_score=0.9),
        hico_row("a", "ride", "pizza", 0.9, relation_score=0.9, object_score=0.8),
    ]
    detections = table(tmp_path / "found.parquet", rows)
    base = ("hico", detections, f"annotations={gold}", "protocol=rlipv2", "top=1")
    assert values(measured(capsys, *base))["mean_average_precision"] == 0.0
    masked = measured(capsys, *base, "mask=true")
    assert values(masked)["mean_average_precision"] == 1.0
    scored = measured(capsys, *base, "score=relation*object")
    assert values(scored)["mean_average_precision"] == 1.0
    assert (masked["options"]["mask"], scored["options"]["score"]) == (True, "relation*object")


@pytest.mark.parametrize(
    ("options", "top", "nms", "repeated"),
    [
        (["protocol=plain"], "all", "none", True),
        (["protocol=plain", "nms=[1,1,0.5]"], "all", "1, 1, 0.5", False),
        (["protocol=plain", "top=1"], 1, "none", False),
        (["protocol=rlipv2"], 100, "1, 0.5, 0.7", False),
        (["protocol=rlipv2", "nms=[]"], 100, "none", True),
        (["protocol=rlipv2", "nms=[1,1,1]"], 100, "1, 1, 1", True),
        (["protocol=rlipv2", "nms=[]", "top=0"], "all", "none", True),
        (["protocol=rlipv2", "nms=[]", "top=1"], 1, "none", False),
    ],
)
def test_cut_and_suppression_are_those_of_the_protocol_or_of_the_options(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    top: object,
    nms: str,
    repeated: bool,
) -> None:
    gold = hico_list(tmp_path / "test_hico.json", *[(one, [("ride", "horse")]) for one in "ab"])
    scores = [("a", 0.9), ("a", 0.8), ("b", 0.7)]  # the second is a repetition, and wrong
    rows = [hico_row(image, "ride", "horse", score) for image, score in scores]

    found = measured(capsys, "hico", table(tmp_path / "found.parquet", rows), f"annotations={gold}", *options)

    assert (found["options"]["top"], found["options"]["nms"]) == (top, nms)
    [ride] = [row for row in found["classes"] if row["gold"]]
    assert ride["average_precision"] == pytest.approx((6 + 5 * 2 / 3) / 11 if repeated else 1.0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("protocol=pockett", "unknown protocol 'pockett'; did you mean 'pocket'?"),
        ("setting=known", "setting: 'known'; choose one of default, known_object"),
        ("split=UX", "no split 'UX'; the splits are UC-RF, UC-NF, UO, UV"),
        ("score=best", "score: unknown formula 'best'"),
        ("nms=[1]", r"nms: give [alpha, beta, threshold]"),
    ],
)
def test_a_bad_option_of_hico_is_one_sentence(
    hico_files: tuple[str, str, str], capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    gold, _, detections = hico_files
    said = refused(capsys, "hico", detections, f"annotations={gold}", option)
    assert message in said
    assert said.count("\n") == 1


def test_image_ids_that_fit_nowhere_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = hico_list(tmp_path / "test_hico.json", ("a", [("ride", "horse")]))
    detections = table(tmp_path / "found.parquet", [hico_row("1", "ride", "horse", 0.9)])
    said = refused(capsys, "hico", detections, f"annotations={gold}")
    assert "image_id is '1' there and 'a' here" in said


# --- V-COCO


def vcoco_files(folder: Path) -> tuple[str, str]:
    """On image 1 a labelled person kicks a ball and holds nothing visible; image 2 shows nobody."""
    instances = {
        "images": [{"id": n, "width": 640, "height": 480, "file_name": f"{n}.jpg"} for n in (1, 2)],
        "categories": [{"id": 1, "name": "person"}, {"id": 37, "name": "sports ball"}],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 200], "area": 9.0, "iscrowd": 0},
            {
                "id": 12,
                "image_id": 1,
                "category_id": 37,
                "bbox": [200, 0, 100, 100],
                "area": 9.0,
                "iscrowd": 0,
            },
            {"id": 21, "image_id": 2, "category_id": 37, "bbox": [0, 0, 50, 50], "area": 9.0, "iscrowd": 0},
        ],
    }
    actions = []
    for action in ACTIONS:
        people = [11, 21] if action == "kick" else [11]  # the second is no person
        roles = {"kick": [[12, 0]]}.get(action, [[0] * len(people) for _ in ROLES[action]])
        ends = [people, *roles]
        one = {"action_name": action, "role_name": ["agent", *ROLES[action]], "ann_id": people}
        one |= {"image_id": [1, 2][: len(people)], "role_object_id": [end for of in ends for end in of]}
        actions.append(one | {"label": [int(action in ("kick", "hold")), 0][: len(people)]})
    paths = folder / "vcoco_test.json", folder / "instances_vcoco_all_2014.json"
    paths[0].write_text(json.dumps(actions))
    paths[1].write_text(json.dumps(instances))
    return str(paths[0]), str(paths[1])


def vcoco_row(image: str, column: str, box: list[int] | None, score: float) -> dict[str, Any]:
    names = {"image_id": image, "predicate": column, "object": "sports ball"}
    return names | {"subject_box": MAN, "object_box": box, "score": score}


def test_vcoco_scenarios_differ_where_the_object_is_not_annotated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions, instances = vcoco_files(tmp_path)
    rows = [vcoco_row("1", "kick_obj", BALL, 0.9), vcoco_row("1", "hold_obj", BALL, 0.8)]
    rows += [vcoco_row("COCO_val2014_000000000002", "kick_obj", BALL, 0.5)]
    detections = table(tmp_path / "found.parquet", rows)
    found = measured(capsys, "vcoco", detections, f"annotations={actions}", f"instances={instances}")
    assert found["protocol"] == "official"
    by_action = {row["action"]: row for row in found["classes"]}
    assert (by_action["kick_obj"]["scenario_1"], by_action["kick_obj"]["scenario_2"]) == (1.0, 1.0)
    assert (by_action["hold_obj"]["scenario_1"], by_action["hold_obj"]["scenario_2"]) == (0.0, 1.0)
    assert by_action["hold_obj"]["agent"] == 1.0
    # what stops the official code is counted
    assert found["counts"]["detections in images without people"] == 1
    assert found["counts"]["actions without gold"] == len(ACTIONS) - 2
    assert values(found)["role_average_precision scenario 1"] == 0.5
    assert values(found)["role_average_precision scenario 2"] == 1.0


def test_no_box_is_right_in_scenario_1_where_the_object_is_not_annotated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions, instances = vcoco_files(tmp_path)
    detections = table(tmp_path / "found.parquet", [vcoco_row("1", "hold_obj", None, 0.8)])
    found = measured(capsys, "vcoco", detections, f"annotations={actions}", f"instances={instances}")
    (row,) = [row for row in found["classes"] if row["action"] == "hold_obj"]
    assert (row["scenario_1"], row["scenario_2"]) == (1.0, 1.0)


def test_a_wide_table_is_the_same_as_a_long_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    actions, instances = vcoco_files(tmp_path)
    scores = {column: 0.1 + 0.01 * place for place, column in enumerate(COLUMNS)}
    long = [vcoco_row("1", column, BALL, score) for column, score in scores.items()]
    pair = {"image_id": "1", "object": "sports ball", "subject_box": MAN, "object_box": BALL}
    results = []
    for name, rows in (("long", long), ("wide", [pair | scores])):
        detections = table(tmp_path / f"{name}.parquet", rows)
        options = (f"annotations={actions}", f"instances={instances}")
        results.append(measured(capsys, "vcoco", detections, *options))
    assert results[0]["measures"] == results[1]["measures"]
    assert results[0]["classes"] == results[1]["classes"]


def test_a_converted_list_and_the_protocol_of_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [{"bbox": MAN, "category_id": 1}, {"bbox": BALL, "category_id": 37}]
    row = {"subject_id": 0, "object_id": 1, "category_id": COLUMNS.index("kick_obj")}
    image = {"file_name": "COCO_val2014_000000000001.jpg", "annotations": boxes, "hoi_annotation": [row]}
    (tmp_path / "test_vcoco.json").write_text(json.dumps([image]))
    detections = table(tmp_path / "found.parquet", [vcoco_row("1", "kick_obj", BALL, 0.9)])
    annotations = f"annotations={tmp_path / 'test_vcoco.json'}"
    official = measured(capsys, "vcoco", detections, annotations)
    assert values(official)["role_average_precision scenario 1"] == 1.0
    training = measured(capsys, "vcoco", detections, annotations, "protocol=rlipv2")
    assert values(training) == {
        "mean_average_precision of 24": pytest.approx(1 / 24),
        "mean_average_precision of all": pytest.approx(1.0),
    }


def test_actions_without_their_boxes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    actions, _ = vcoco_files(tmp_path)
    detections = table(tmp_path / "found.parquet", [vcoco_row("1", "hold_obj", None, 0.8)])
    said = refused(capsys, "vcoco", detections, f"annotations={actions}")
    assert "give instances=instances_vcoco_all_2014.json too" in said


# --- Open Images


@pytest.fixture
def open_images_files(tmp_path: Path) -> tuple[str, str]:
    """One image where a man plays and kicks a ball."""
    boxes = [{"bbox": MAN, "category_id": 0}, {"bbox": BALL, "category_id": 1}]
    rows = [{"subject_id": 0, "object_id": 1, "category_id": verb} for verb in (0, 1)]
    image = {"file_name": "a.jpg", "annotations": boxes, "rel_annotations": rows}
    (tmp_path / "test.json").write_text(json.dumps([image]))
    names = {"obj": {"Man": 0, "Football": 1}, "rel": ["plays", "kicks"]}
    (tmp_path / "categories.json").write_text(json.dumps(names))
    return f"annotations={tmp_path / 'test.json'}", f"categories={tmp_path / 'categories.json'}"


def test_open_images_from_the_converted_list(
    open_images_files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"image_id": "a", "subject": "Man", "object": "Football", "predicate": "plays"}
    row = names | {"subject_box": MAN, "object_box": BALL, "score": 0.9}
    detections = table(tmp_path / "found.parquet", [row])
    found = measured(capsys, "open_images", detections, *open_images_files)
    assert (found["protocol"], found["counts"]["gold"]) == ("rlipv2", 2)
    one = values(found)
    assert (one["recall@50"], one["wmAP_rel@100"], one["wmAP_phr@100"]) == (0.5, 0.5, 0.5)
    assert one["score_wtd"] == one["score_wtd by predicate"] == pytest.approx(0.5)


def test_numbers_without_names_are_refused(
    open_images_files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "open_images", str(tmp_path), open_images_files[0])
    assert "give categories=FILE with obj and rel" in said


def test_open_images_from_its_csv_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vrd.csv").write_text(
        "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel\n"
        "a,/m/1,/m/2,0,0.33,0,1,0.66,1,0,0.5,plays\n"
    )
    (tmp_path / "classes.csv").write_text("/m/1,Man\n/m/2,Football\n")
    (tmp_path / "sizes.csv").write_text("ImageID,Width,Height\na,300,200\n")
    names = {"image_id": "a", "subject": "man", "object": "football", "predicate": "plays"}
    row = names | {"subject_box": MAN, "object_box": BALL, "score": 0.9}
    detections = table(tmp_path / "found.parquet", [row])
    options = [f"{name}={tmp_path / file}" for name, file in CSV_FILES.items()]
    found = measured(capsys, "open_images", detections, *options)
    assert values(found)["score_wtd"] == pytest.approx(1.0)
    said = refused(capsys, "open_images", detections, options[0])
    assert "has shares of the image for pixels: give sizes=FILE" in said


CSV_FILES = {"annotations": "vrd.csv", "classes": "classes.csv", "sizes": "sizes.csv"}


def test_a_list_with_names_beside_its_numbers_has_kinds_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [
        {"bbox": MAN, "category_id": 1, "category": "robot"},
        {"bbox": BALL, "category_id": 2, "category": "ball"},
    ]
    row = {"subject_id": 0, "object_id": 1, "category_id": 1, "verb": "rolling"}
    image = {"file_name": "a.jpg", "annotations": boxes, "hoi_annotation": [row]}
    (tmp_path / "hico.json").write_text(json.dumps([image]))
    names = {"image_id": "a", "subject": "robot", "predicate": "rolling", "object": "ball"}
    found_row = names | {"subject_box": MAN, "object_box": BALL, "score": 0.9}
    detections = table(tmp_path / "found.parquet", [found_row])
    found = measured(capsys, "hico", detections, f"annotations={tmp_path / 'hico.json'}", "subject=any")
    assert [(row["subject"], row["average_precision"]) for row in found["classes"]] == [("robot", 1.0)]

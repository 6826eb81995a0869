"""Detections in other tools' files: equal numbers after every round trip, and no pickle runs code."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.cli.app import invoke
from relforge.cli.eval import evaluate
from relforge.data import hico
from relforge.data.convert import convert
from relforge.data.formats import hico as hico_format
from relforge.data.formats import vcoco as vcoco_format
from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, HoiImage
from relforge.data.vcoco_actions import ACTION_OF, COLUMNS, ROLES
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.evaluator import Result
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.predictions.registry import READERS, convert_detections
from relforge.evaluation.vcoco_detections import of_pairs, write_vcoco_detections

CLASSES = [hico.objects().index(name) for name in ("person", "horse", "cup", "dog")]


def annotation(verbs: list[str], objects: list[str], pairs: list[tuple[int, int]], names: str) -> HoiData:
    """Twelve images of three people and four things, each person with an interaction or two."""
    rng = np.random.default_rng(3)
    images = []
    for number in range(12):
        low = rng.uniform(0, 300, (7, 2))
        boxes = np.concatenate([low, low + rng.uniform(40, 200, (7, 2))], 1)
        classes = np.array([CLASSES[0]] * 3 + rng.choice(CLASSES[1:], 4).tolist())
        rows = []
        for subject in range(3):
            fit = [(verb, 3 + k) for verb, code in pairs for k in range(4) if classes[3 + k] == code]
            for verb, end in rng.permutation(np.array(fit).reshape(-1, 2))[:2].tolist():
                rows.append((subject, end, verb))
        table = np.array(rows, int).reshape(-1, 3)
        images.append(HoiImage(names.format(number), boxes, classes, table, (640, 480)))
    return HoiData(images, objects, verbs)


@pytest.fixture
def of_hico(tmp_path: Path) -> tuple[str, str]:
    """The annotation's file, and a table of detections of it: moved boxes, wrong verbs, equal scores."""
    interactions = [pair for pair in hico.interactions() if pair[1] in ("horse", "cup", "dog")]
    pairs = [(hico.verbs().index(verb), hico.objects().index(name)) for verb, name in interactions]
    data = annotation(hico.verbs(), hico.objects(), pairs, "HICO_test2015_{:08d}.jpg")
    hico_format.write(data, tmp_path / "test_hico.json")
    rng = np.random.default_rng(4)
    rows: list[tuple[Any, ...]] = []
    for image in data.images:
        for subject, end, verb in image.interactions.tolist():
            for name in (data.verbs[verb], *rng.choice(data.verbs, 2)):
                moved = [image.boxes[row] + rng.normal(0, 12, 4) for row in (subject, end)]
                score = float(rng.choice([0.25, rng.uniform()]))
                of = data.objects[image.classes[end]]
                rows.append((image.file_name[:-4], name, of, *moved, score))
    table = Pairs(
        image=np.array([row[0] for row in rows], object),
        subject=np.full(len(rows), "person", object),
        predicate=np.array([row[1] for row in rows], object),
        object=np.array([row[2] for row in rows], object),
        subject_box=np.array([row[3] for row in rows]),
        object_box=np.array([row[4] for row in rows]),
        score=np.array([row[5] for row in rows]),
    )
    write_detections(table, tmp_path / "found.parquet")
    return str(tmp_path / "test_hico.json"), str(tmp_path / "found.parquet")


@pytest.fixture
def of_vcoco(tmp_path: Path) -> tuple[str, str]:
    """The same for V-COCO: a wide table, of which some pairs have no object."""
    pairs = [(column, code) for column in range(len(COLUMNS)) for code in CLASSES[1:]]
    data = annotation(COLUMNS, [*hico.objects(), MISSING], pairs, "COCO_val2014_{:012d}.jpg")
    for image in data.images:
        alone = [k for k, row in enumerate(image.interactions) if not ROLES[ACTION_OF[COLUMNS[row[2]]]]]
        image.interactions[alone, 1] = NO_OBJECT
    vcoco_format.write_list_file(data, tmp_path / "test_vcoco.json")
    rng = np.random.default_rng(5)
    person, things, numbers = [], [], []
    for number, image in enumerate(data.images):
        for subject, end, _ in image.interactions.tolist():
            person.append(image.boxes[subject] + rng.normal(0, 6, 4))
            without = end == NO_OBJECT or rng.random() < 0.2
            things.append(np.full(4, np.nan) if without else image.boxes[end] + rng.normal(0, 6, 4))
            numbers.append(number)
    scores = {
        name: rng.choice([0.5, *rng.uniform(size=20)], len(person)).astype(np.float32) for name in COLUMNS
    }
    names = np.array([MISSING if np.isnan(box[0]) else "horse" for box in things], object)
    boxes = (np.array(person, np.float32), np.array(things, np.float32))
    found = of_pairs(np.array(numbers), *boxes, scores, names)
    write_vcoco_detections(found, list(range(12)), tmp_path / "found.parquet")
    return str(tmp_path / "test_vcoco.json"), str(tmp_path / "found.parquet")


def numbers(result: Result) -> dict[str, float]:
    return {name: one.value for name, one in result.measures.items()}


@pytest.mark.parametrize("target", ["detections", "detections_mat", "detections_json", "detections_qpic"])
@pytest.mark.parametrize("protocol", ["official", "pocket"])
def test_hicos_numbers_are_the_same_after_a_round_trip(
    tmp_path: Path, of_hico: tuple[str, str], target: str, protocol: str
) -> None:
    annotations, table = of_hico
    options = [f"annotations={annotations}", f"protocol={protocol}"]
    first = numbers(evaluate("hico", table, options))
    assert 0.02 < first["mean_average_precision"] < 0.9
    given = {"annotations": annotations} if target == "detections_mat" else {}
    out, back = str(tmp_path / "other"), str(tmp_path / "back.parquet")
    convert_detections("detections", table, target, out, given)
    convert_detections(target, out, "detections", back, given)
    assert numbers(evaluate("hico", back, options)) == pytest.approx(first, abs=1e-9)


@pytest.mark.parametrize("target", ["detections", "detections_vcoco", "detections_qpic"])
def test_vcocos_numbers_are_the_same_after_a_round_trip(
    tmp_path: Path, of_vcoco: tuple[str, str], target: str
) -> None:
    annotations, table = of_vcoco
    options = [f"annotations={annotations}"]
    first = numbers(evaluate("vcoco", table, options))
    assert 0.05 < first["role_average_precision scenario 1"] < 0.95
    out, back = str(tmp_path / "other"), str(tmp_path / "back.parquet")
    convert_detections("detections", table, target, out, {})
    given = {"benchmark": "vcoco"} if target == "detections_qpic" else {}
    convert_detections(target, out, "detections", back, given)
    assert numbers(evaluate("vcoco", back, options)) == pytest.approx(first, abs=1e-9)


def test_the_official_files_and_the_list_made_of_them_give_one_number(
    tmp_path: Path, of_vcoco: tuple[str, str]
) -> None:
    annotations, table = of_vcoco
    convert("vcoco", annotations, "vcoco", str(tmp_path / "official"), {})
    official = [f"annotations={tmp_path}/official/vcoco_test.json"]
    official += [f"instances={tmp_path}/official/instances_vcoco_all_2014.json"]
    first = evaluate("vcoco", table, [f"annotations={annotations}"])
    assert numbers(evaluate("vcoco", table, official)) == pytest.approx(numbers(first), abs=1e-9)
    assert first.counts["people without labels"] == 0


def test_a_pickle_is_what_the_published_evaluation_reads(tmp_path: Path, of_vcoco: tuple[str, str]) -> None:
    _, table = of_vcoco
    out = tmp_path / "detections.pkl"
    convert_detections("detections", table, "detections_vcoco", str(out), {})
    found = pickle.loads(out.read_bytes())
    assert found[0].keys() >= {"image_id", "person_box", "walk_agent", "hit_instr", "hit_obj", "hit_agent"}
    assert found[0]["person_box"].shape == (4,)
    assert found[0]["hit_obj"].shape == (5,)
    assert len(found) == pq.read_metadata(table).num_rows


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_roles_with_boxes_of_their_own_are_rows_of_their_own(tmp_path: Path, protocol: int) -> None:
    one: dict[str, Any] = {"image_id": np.int64(7), "person_box": [1, 2, 3, 4], "walk_agent": np.float32(0.5)}
    one |= {
        "hold_obj": np.array([1, 1, 2, 2, 0.75]),
        "hit_instr": [5, 5, 6, 6, 0.25],
        "cut_obj": [np.nan] * 4 + [0.125],
    }
    path = tmp_path / "given.pkl"
    path.write_bytes(pickle.dumps([one], protocol=protocol))
    table = READERS.load("detections_vcoco")(str(path))
    rows = table.select(
        ["image_id", "object_x", "hold_obj", "hit_instr", "cut_obj", "walk", "walk_agent"]
    ).to_pylist()
    assert {row["image_id"] for row in rows} == {"7"}
    by_box = {row["object_x"]: row for row in rows}
    assert (by_box[1.0]["hold_obj"], by_box[5.0]["hit_instr"], by_box[None]["cut_obj"]) == (0.75, 0.25, 0.125)
    assert [row["walk_agent"] for row in rows if row["walk_agent"] is not None] == [0.5]


class Evil:
    """Runs a command when it is unpickled by the standard library."""

    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("content", [[Evil()], [{"image_id": Evil()}], np.array([Evil()], object), {1, 2}])
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content, protocol=2))
    arguments = ["--from", "detections_vcoco", "--to", "detections", "--out", "x.parquet"]
    assert invoke(["convert", "evil.pkl", *arguments]) == 64
    assert "evil.pkl is no pickle of V-COCO detections" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "x.parquet").exists()


def test_files_without_names_go_by_the_benchmarks_numbers(tmp_path: Path) -> None:
    box = [{"bbox": [1, 2, 3, 4], "category_id": 1}, {"bbox": [5, 6, 7, 8], "category_id": 19}]
    row = {"subject_id": 0, "object_id": 1, "category_id": 77, "score": 0.5}
    document = [{"file_name": "a.jpg", "predictions": box, "hoi_prediction": [row]}]
    (tmp_path / "qpic.json").write_text(json.dumps(document))
    found = READERS.load("detections_qpic")(str(tmp_path / "qpic.json")).to_pylist()
    assert (found[0]["predicate"], found[0]["object"]) == (hico.verbs()[76], "horse")
    numbered = [{"id": 1, "detections": [["a", *range(8), 0.5]]}]
    (tmp_path / "hoi.json").write_text(json.dumps(numbered))
    found = READERS.load("detections_json")(str(tmp_path / "hoi.json")).to_pylist()
    assert (found[0]["predicate"], found[0]["object"]) == hico.interactions()[0]


def test_what_a_format_cannot_hold_is_counted(tmp_path: Path, of_hico: tuple[str, str]) -> None:
    annotations, table = of_hico
    rows = pq.read_table(table)
    names = ["x", *rows["image_id"].to_pylist()[1:]]
    verbs = [rows["predicate"][0].as_py(), "flying over", *rows["predicate"].to_pylist()[2:]]
    for name, values in (("image_id", names), ("predicate", verbs)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    pq.write_table(rows, tmp_path / "odd.parquet")
    out = str(tmp_path / "mat")
    options = {"annotations": annotations}
    _, left_out = convert_detections(
        "detections", str(tmp_path / "odd.parquet"), "detections_mat", out, options
    )
    assert left_out["unknown_image"] == 1
    assert left_out["no_hico_interaction"] >= 1


@pytest.mark.parametrize(
    ("source", "content", "message"),
    [
        ("detections", b"", "is not Parquet"),
        ("detections_json", b"[3]", "no detections per interaction"),
        ("detections_qpic", b"[{}]", "expected a list of images with file_name"),
        ("detections_vcoco", b"", "is no pickle of V-COCO detections"),
    ],
)
def test_a_file_of_another_form_is_one_sentence(
    tmp_path: Path, source: str, content: bytes, message: str
) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_detections(source, str(tmp_path / "bad"), "detections", str(tmp_path / "out"), {})
    with pytest.raises(ValueError, match="unknown format of detections 'hico'"):
        convert_detections("hico", "x", "detections", "y", {})
    with pytest.raises(ValueError, match="has an option speed"):
        convert_detections("detections", "x", "detections_mat", "y", {"speed": 1})

"""`relforge convert`: what one format says, the next one says too, as far as it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.cli.app import invoke
from relforge.data import hico
from relforge.data.convert import INPUTS, OUTPUTS, convert
from relforge.data.formats import hico_names
from relforge.data.formats import vcoco as vcoco_format
from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, HoiImage
from relforge.data.vcoco import read_vcoco
from relforge.data.vcoco_actions import COLUMNS

Fact = tuple[Any, ...]


def facts(data: HoiData) -> dict[str, set[Fact]]:
    """Image -> its rows by names and corners."""
    found = {}
    for image in data.images:
        rows = set()
        for subject, end, verb in image.interactions.tolist():
            names = [data.objects[image.classes[row]] for row in (subject, end) if row != NO_OBJECT]
            corners = [tuple(np.round(image.boxes[row], 4)) for row in (subject, end) if row != NO_OBJECT]
            rows.add((data.verbs[verb], *names, *corners))
        found[image.file_name] = rows
    return found


def code(name: str) -> int:
    return hico.objects().index(name)


PERSON = code("person")


def of_hico() -> HoiData:
    """Two images in HICO-DET's names: one row of two verbs, an image without rows, a label without a box."""
    boxes = np.array([[10, 20, 50.25, 90], [30, 40, 120, 110.5], [0, 0, 5, 5]], float)
    ride, feed = (hico.verbs().index(name) for name in ("ride", "feed"))
    rows = np.array([[0, 1, ride], [0, 1, feed]])
    images = [
        HoiImage(
            "HICO_train2015_00000001.jpg",
            boxes,
            np.array([PERSON, code("horse"), code("dog")]),
            rows,
            (640, 480),
            (code("elephant"), code("horse")),
            ((ride, code("elephant")),),
        ),
        HoiImage("HICO_train2015_00000002.jpg", boxes[:0], np.zeros(0, int), rows[:0], (320, 200)),
    ]
    return HoiData(images, hico.objects(), hico.verbs())


def of_vcoco() -> HoiData:
    """Two people, one of them labelled: stands, cuts with a knife (what is cut is not visible)."""
    boxes = np.array([[10, 20, 40, 60], [60, 10, 80, 70], [5, 5, 15, 15]], float)
    cut = [COLUMNS.index(name) for name in ("cut_instr", "cut_obj")]
    rows = [(0, NO_OBJECT, COLUMNS.index("stand")), (0, 2, cut[0]), (0, NO_OBJECT, cut[1])]
    image = HoiImage(
        "COCO_val2014_000000000042.jpg",
        boxes,
        np.array([PERSON, PERSON, code("knife")]),
        np.array(rows),
        (100, 80),
        labelled=np.array([True, False, False]),
        crowd=np.array([False, False, True]),
        identity="42",
    )
    return HoiData([image], [*hico.objects(), MISSING], COLUMNS)


Route = list[tuple[str, str, str, dict[str, Any], dict[str, Any]]]
"""Steps of (target, file or folder, file in it that is read, options of writing, options of reading)."""

LIST: tuple[str, str, str, dict[str, Any], dict[str, Any]] = ("hico", "list.json", "", {}, {})
ROUTES: list[Route] = [
    [LIST],
    [("hico_instances", "instances.json", "", {}, {})],
    [("hico_mat", "anno.mat", "", {"half": "test"}, {"half": "test"})],
    [("hico_mat", "anno.mat", "", {}, {}), LIST, ("hico_instances", "i.json", "", {}, {}), LIST],
    [("open_images", "oi", "oidv6-test-annotations-vrd.csv", {}, {"sizes": "oi/sizes.csv"}), LIST],
    [
        ("open_images_list", "oi", "OI_SGG_val.json", {"split": "val"}, {"categories": "oi/%s"}),
        LIST,
    ],
    [("parquet", "tables", "", {}, {}), LIST],
    [
        ("vg", "graphs.json", "", {"file_names": True}, {}),
        ("rlipv2", "r.json", "", {"file_names": True}, {}),
        LIST,
    ],
]
READ = {
    "hico_instances": "hico",
    "hico_mat": "hico",
    "open_images_list": "open_images",
    "vg": "visual_genome",
}
NAMES = "OI_SGG_trainval_test_categories_dict.json"


def follow(route: Route, start: str, path: Path, folder: Path, options: dict[str, Any]) -> tuple[str, Path]:
    """Convert step by step; gives the format and the path of the last file."""
    for number, (target, name, inner, of_write, of_read) in enumerate(route):
        out = folder / str(number) / name
        convert(start, str(path), target, str(out), options | of_write)
        options = {
            key: str(folder / str(number) / (value % NAMES if "%" in value else value))
            if "/" in value
            else value
            for key, value in of_read.items()
        }
        start, path = READ.get(target, target), out / inner if inner else out
    return start, path


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: "-".join(step[0] for step in route))
def test_hico_rows_come_back_along_every_route(tmp_path: Path, route: Route) -> None:
    first = of_hico()
    path = tmp_path / "trainval_hico.json"
    convert_from(first, path)
    start, last = follow(route, "hico", path, tmp_path, {})
    half = {"half": "test"} if any("half" in step[3] for step in route) else {}
    convert(start, str(last), "hico", str(tmp_path / "last.json"), half)
    back = hico.read_hico(str(tmp_path / "last.json"))
    named = {name: rows for name, rows in facts(back).items() if rows}
    got = {name.rsplit("/", 1)[-1]: rows for name, rows in named.items()}
    assert got == {name: rows for name, rows in facts(first).items() if rows}


def convert_from(data: HoiData, path: Path) -> None:
    from relforge.data.formats import hico as hico_format

    hico_format.write(data, path)


def test_official_numbers_and_names_are_written_for_hicos_own_lists(tmp_path: Path) -> None:
    path = tmp_path / "trainval_hico.json"
    convert_from(of_hico(), path)
    first, second = json.loads(path.read_text())
    assert [box["category_id"] for box in first["annotations"]] == [1, 19, 18]
    row = {"subject_id": 0, "object_id": 1, "category_id": hico.verbs().index("ride") + 1, "verb": "ride"}
    assert first["hoi_annotation"][0] == row | {
        "hoi_category_id": hico.interactions().index(("ride", "horse")) + 1
    }
    assert (second["annotations"], second["hoi_annotation"]) == ([], [])


@pytest.mark.parametrize("target", ["hico", "hico_mat"])
def test_labels_without_a_visible_box_survive(tmp_path: Path, target: str) -> None:
    path, out = (
        tmp_path / "trainval_hico.json",
        tmp_path / f"out{'.mat' if target == 'hico_mat' else '.json'}",
    )
    convert_from(of_hico(), path)
    convert("hico", str(path), target, str(out), {})
    images = hico.read_hico(str(out), "train").images
    assert images[0].hidden == of_hico().images[0].hidden
    assert code("elephant") in images[0].labels


@pytest.mark.parametrize(
    "steps", [["vcoco"], ["vcoco_list"], ["vcoco_list", "vcoco"], ["vcoco", "vcoco_list"]]
)
def test_vcoco_comes_back_with_its_roles_and_with_whom_nobody_labelled(
    tmp_path: Path, steps: list[str]
) -> None:
    first = of_vcoco()
    path = tmp_path / "first.json"
    vcoco_format.write_list_file(first, path)
    options: dict[str, str] = {}
    for step in steps:
        out = tmp_path / step
        convert("vcoco", str(path), step, str(out), options)
        path = out / "vcoco_test.json" if step == "vcoco" else out
        options = {"instances": str(out / "instances_vcoco_all_2014.json")} if step == "vcoco" else {}
    back = vcoco_format.read(str(path), **options)
    assert facts(back) == facts(first)
    (image,) = back.images
    assert image.labelled is not None
    assert image.labelled.tolist() == [True, False, False]
    assert image.crowd is not None
    assert image.crowd.tolist() == [False, False, True]
    assert (image.identity, image.size) == ("42", (100, 80))
    gold = read_vcoco(str(path), options.get("instances", ""))
    assert (gold.images, gold.labelled.tolist()) == ([42], [True, False])


def test_a_list_without_labelled_leaves_people_without_a_row_out_of_account(tmp_path: Path) -> None:
    path = tmp_path / "first.json"
    vcoco_format.write_list_file(of_vcoco(), path)
    records = json.loads(path.read_text())
    for box in records[0]["annotations"]:
        del box["labelled"]
    path.write_text(json.dumps(records))
    assert read_vcoco(str(path)).labelled.tolist() == [True, False]


def test_other_names_become_hicos_and_what_it_lacks_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "first.json"
    data = of_vcoco()
    vcoco_format.write_list_file(data, path)
    found = convert("vcoco", str(path), "hico", str(tmp_path / "hico.json"), {"official": True})
    assert found.left_out == {"row_without_object": 2}
    back = hico.read_hico(str(tmp_path / "hico.json"))
    assert {row[:3] for row in facts(back)["COCO_val2014_000000000042.jpg"]} == {
        ("cut with", "person", "knife")
    }
    riding = HoiData([of_hico().images[0]], [*hico.objects()[:-1], "Sofa"], [*hico.verbs()[:-1], "riding"])
    names, _ = hico_names.as_hico(riding, interactions=False)
    assert names.verbs == hico.verbs()


def test_hicos_verbs_become_vcocos_actions(tmp_path: Path) -> None:
    path = tmp_path / "trainval_hico.json"
    convert_from(of_hico(), path)
    found = convert("hico", str(path), "vcoco_list", str(tmp_path / "vcoco.json"), {})
    assert found.left_out == {"no_vcoco_action": 1}
    (first, *_) = json.loads((tmp_path / "vcoco.json").read_text())
    assert [row["verb"] for row in first["hoi_annotation"]] == ["ride_instr"]


def test_sizes_that_a_format_needs_are_read_from_the_images(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "test_hico.json"
    path.write_text(json.dumps([{"file_name": "a.jpg", "annotations": [], "hoi_annotation": []}]))
    with pytest.raises(ValueError, match=r"a.jpg: .* needs? the image's size; give images=FOLDER"):
        convert("hico", str(path), "hico_instances", str(tmp_path / "out.json"), {})
    Image.new("RGB", (7, 9)).save(tmp_path / "a.jpg")
    convert("hico", str(path), "hico_instances", str(tmp_path / "out.json"), {"images": str(tmp_path)})
    assert json.loads((tmp_path / "out.json").read_text())["size"] == [[7, 9]]


def write_graphs(folder: Path) -> Path:
    """Two men, nearly one; `near` twice, `next to` the same by an alias, `on` once more elsewhere."""
    sides = [(10, 10, 40, 40), (11, 10, 40, 41), (60, 10, 30, 30), (60, 11, 30, 30), (5, 70, 20, 20)]
    names = ["Man", "man", "horse", "horse", "horse"]
    objects = [
        {"object_id": number, "names": [name, "other"], **dict(zip("xywh", box, strict=True))}
        for number, (name, box) in enumerate(zip(names, sides, strict=True))
    ]
    facts = [(0, "near", 2), (0, "near", 2), (1, "near", 3), (1, "next to", 2), (0, "near", 4), (0, "on", 2)]
    rows = [
        {"relationship_id": k, "subject_id": s, "predicate": p, "object_id": o}
        for k, (s, p, o) in enumerate(facts)
    ]
    graph = {"image_id": 1, "width": 100, "height": 100, "objects": objects, "relationships": rows}
    (folder / "graphs.json").write_text(json.dumps([graph]))
    (folder / "alias.txt").write_text("near,next to\n")
    return folder / "graphs.json"


@pytest.mark.parametrize(
    ("options", "kept", "left_out"),
    [
        (
            {},
            [("near", 4), ("near", 2), ("next to", 2), ("on", 2)],
            {"repeated_relation": 1, "left_out_by_the_format": 1},
        ),
        ({"predicate_aliases": "alias.txt"}, [("near", 4), ("near", 2), ("on", 2)], None),
        ({"max_relations": 1}, [("near", 2)], None),
        ({"overlap": 1.0}, [("near", 4), ("near", 2), ("near", 3), ("next to", 2), ("on", 2)], None),
    ],
)
def test_redundant_relations_of_visual_genome_are_removed(
    tmp_path: Path, options: dict[str, Any], kept: list[tuple[str, int]], left_out: dict[str, int] | None
) -> None:
    graphs = write_graphs(tmp_path)
    given = {
        key: str(tmp_path / value) if key.endswith("aliases") else value for key, value in options.items()
    }
    out = tmp_path / "scene_graphs_after_preprocessing.json"
    found = convert("visual_genome", str(graphs), "vg-preprocessed", str(out), given)
    (image,) = json.loads(out.read_text())
    first = 10_000_000
    rows = [(row["predicate"], row["object_id"] - first) for row in image["relationships"]]
    assert sorted(rows) == sorted(kept)
    assert {one["names"] for one in image["objects"]} == {"man", "horse"}
    assert left_out is None or found.left_out == left_out


def test_the_paths_of_objects365_are_written_by_id(tmp_path: Path) -> None:
    name = "images/v1/patch8/objects365_v1_00420917.jpg"
    image = {"id": 420917, "file_name": name, "width": 10, "height": 10}
    coco = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "Person"}]}
    (tmp_path / "zhiyuan_objv2_val.json").write_text(json.dumps(coco))
    out = tmp_path / "image_id_to_filepath.json"
    convert("objects365", str(tmp_path / "zhiyuan_objv2_val.json"), "image-paths", str(out), {"split": "val"})
    assert json.loads(out.read_text()) == {"420917": "val/patch8/objects365_v1_00420917.jpg"}


def test_a_run_folder_is_an_input(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "vcoco.json"
    found = convert("run", str(run_folder), "vcoco_list", str(out), {"relations": "gold"})
    assert found.counts["images"] == 12
    assert found.left_out["no_vcoco_action"] > 0
    assert len(json.loads(out.read_text())) == 12


def test_the_command_prints_what_was_written_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "first.json", tmp_path / "hico.json"
    vcoco_format.write_list_file(of_vcoco(), path)
    assert invoke(["convert", str(path), "--from", "vcoco", "--to", "hico", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"{out}: 1 images, 3 boxes, 1 relations" in text
    assert "row without object" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--from", "coc", "--to", "hico"], "unknown input format 'coc'; choose one of hico, vcoco"),
        (
            ["--from", "hico", "--to", "hic"],
            "unknown output format 'hic'; choose one of hico, hico_instances",
        ),
        (
            ["--from", "hico", "--to", "hico", "speed=3"],
            "neither hico nor hico has an option speed; choose from",
        ),
        (["--from", "vcoco", "--to", "hico"], "is not JSON"),
    ],
)
def test_a_conversion_that_cannot_be_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    (tmp_path / "bad.json").write_text("{")
    assert invoke(["convert", str(tmp_path / "bad.json"), "--out", str(tmp_path / "x"), *given]) == 64
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_formats_of_ones_own_are_named_by_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_format.py").write_text(
        "from relforge.data.hoi import Written\nfrom collections import Counter\n"
        "def write(data, path, note='x'):\n    path.write_text(note)\n    return Written(data, Counter())\n"
        "def read(annotations, note='y'):\n    from tests.data import test_convert\n"
        "    return test_convert.of_hico()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    convert("own_format:read", "any", "own_format:write", str(tmp_path / "out"), {"note": "mine"})
    assert (tmp_path / "out").read_text() == "mine"
    assert {"vg150", "coco", "run", "hico"} <= set(INPUTS)
    assert {"vg150", "vg-preprocessed", "hico_mat"} <= set(OUTPUTS)


def test_half_of_hicos_real_test_split_comes_back_whole(tmp_path: Path, shared: Any) -> None:
    original = shared("data/hico/instances_test2015_odd.json")
    convert("hico", str(original), "hico", str(tmp_path / "list.json"), {})
    found = convert("hico", str(tmp_path / "list.json"), "hico_instances", str(tmp_path / "back.json"), {})
    assert found.left_out == {}
    first, back = (json.loads(path.read_text()) for path in (original, tmp_path / "back.json"))
    for key in ("filenames", "objects", "verbs", "correspondence", "size", "empty"):
        assert back[key] == first[key]
    for one, other in zip(first["annotation"], back["annotation"], strict=True):
        assert one == other

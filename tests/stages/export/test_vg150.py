"""VG150's files from any relforge dataset, read again by the adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from relforge.cli.app import invoke
from relforge.demo.world.dataset import write_split
from relforge.stages.contract import StageResult
from relforge.stages.export import export
from relforge.stages.export.vg150 import FILES
from relforge.stages.registry import build_source


def again(folder: Path, **options: Any) -> list[StageResult]:
    paths = dict(
        zip(("annotations", "dictionary", "image_data"), (str(folder / f) for f in FILES), strict=True)
    )
    return list(build_source("vg150", **paths, **options).shards(4))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[StageResult]:
    """Eight drawn images with gold, read from their Visual Genome JSON."""
    folder = write_split(tmp_path_factory.mktemp("world"), "hoi", 8, size=64)
    return list(build_source("visual_genome", annotations=str(folder / "scene_graphs.json")).shards(4))


def rows(shards: list[StageResult], table: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(r.values()) for s in shards for r in s.tables[table].select(list(columns)).to_pylist()]


def test_a_drawn_world_comes_back_with_boxes_within_half_a_unit(
    world: list[StageResult], tmp_path: Path
) -> None:
    counts = export("vg150", (s.tables for s in world), str(tmp_path / "out"))
    found = again(tmp_path / "out")

    facts = ("image_id", "subject_box", "object_box", "predicate")
    assert rows(found, "gold", *facts) == rows(world, "gold", *facts)
    assert rows(found, "images", "image_id", "width", "height") == rows(
        world, "images", "image_id", "width", "height"
    )
    names = ("image_id", "box_id", "category")
    assert rows(found, "boxes", *names) == rows(world, "boxes", *names)
    before, after = (np.array(rows(s, "boxes", *"xywh")) for s in (world, found))
    corners = [np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1) for b in (before, after)]
    assert np.abs(corners[1] - corners[0]).max() <= 0.5 * 64 / 1024 + 1e-9
    assert counts == {"images": 8, "boxes": len(before), "relations": len(rows(world, "gold", "image_id"))}


def test_a_second_export_is_the_same_bytes(world: list[StageResult], tmp_path: Path) -> None:
    export("vg150", (s.tables for s in world), str(tmp_path / "1"))
    export("vg150", (s.tables for s in again(tmp_path / "1")), str(tmp_path / "2"))

    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_the_files_have_what_published_readers_open(world: list[StageResult], tmp_path: Path) -> None:
    export("vg150", (s.tables for s in world), str(tmp_path / "out"), test=0.25)

    with h5py.File(tmp_path / "out" / FILES[0]) as file:
        arrays = {name: file[name][()] for name in file}
    boxes = len(arrays["labels"])
    assert {name: array.shape[1:] for name, array in arrays.items()} == {
        "boxes_1024": (4,), "boxes_512": (4,), "labels": (1,), "attributes": (10,), "relationships": (2,),
        "predicates": (1,), "split": (), "img_to_first_box": (), "img_to_last_box": (),
        "img_to_first_rel": (), "img_to_last_rel": (),
    }  # fmt: skip
    assert all(array.dtype.kind == "i" for array in arrays.values())
    assert arrays["split"].tolist() == [0] * 6 + [2] * 2
    assert arrays["img_to_last_box"][-1] == boxes - 1
    sides = arrays["boxes_1024"][:, 2:]
    assert (sides >= 1).all()
    assert np.abs(arrays["boxes_512"][:, 2:] * 2 - sides).max() <= 2
    names = json.loads((tmp_path / "out" / FILES[1]).read_text())
    numbers = list(names["label_to_idx"].values())
    assert numbers == list(range(1, len(numbers) + 1))
    assert list(names["label_to_idx"]) == sorted(names["label_to_idx"])
    assert names["idx_to_label"]["1"] == next(iter(names["label_to_idx"]))
    assert sum(names["predicate_count"].values()) == len(arrays["predicates"])
    assert [r["image_id"] for r in json.loads((tmp_path / "out" / FILES[2]).read_text())] == list(range(1, 9))


@pytest.fixture
def labelled(rows: Any) -> list[dict[str, Any]]:
    """One image of a run: a man on a bike, in the words of its tagger, with something of no list."""
    boxes = [("man", 0), ("Bicycle", 2), ("gizmo", 3)]
    facts = [(0, 2, "rides"), (0, 2, "pedalling"), (0, 3, "holding"), (2, 0, "Under")]
    tables = {"images": rows.table("images", {"image_id": "7", "uri": "p/7.jpg", "file_name": "a/7.png"})}
    tables["boxes"] = rows.table(
        "boxes",
        *({"box_id": k, "category": c, "x": k, "y": 0, "w": 9, "h": 9} for c, k in boxes),
        image_id="7",
    )
    scored = [{"subject_box": s, "object_box": o, "predicate": p, "score": 0.5} for s, o, p in facts]
    tables["relations"] = rows.table("scores", *scored, image_id="7")
    return [tables]


def test_labels_are_written_in_the_words_and_numbers_of_a_closed_list(
    labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    counts = export("vg150", iter(labelled), str(tmp_path / "out"), labels="vg150")

    assert counts == {"images": 1, "boxes": 2, "relations": 2, "left_out_boxes": 1, "left_out": 2}
    [shard] = again(tmp_path / "out")
    assert rows([shard], "boxes", "category") == [("man",), ("bike",)]
    found = rows([shard], "gold", "subject_box", "object_box", "predicate")
    assert found == [(0, 1, "riding"), (1, 0, "under")]
    with h5py.File(tmp_path / "out" / FILES[0]) as file:
        assert file["labels"][()].ravel().tolist() == [78, 11]  # of the published dictionary
        assert file["predicates"][()].ravel().tolist() == [38, 43]


def test_a_spelling_of_ones_own_maps_more(labelled: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("predicates: {ride: [rides, pedalling], hold: [holding]}")

    counts = export("vg150", iter(labelled), str(tmp_path / "out"), labels=str(tmp_path / "mine.yaml"))

    assert (counts["boxes"], counts["relations"], counts["left_out"]) == (3, 3, 1)


def test_file_names_come_back_where_they_were_asked_for(
    labelled: list[dict[str, Any]], tmp_path: Path
) -> None:
    for asked, expected in ((True, "a/7.png"), (False, "7.jpg")):
        export("vg150", iter(labelled), str(tmp_path / "out"), file_names=asked)
        [shard] = again(tmp_path / "out")
        assert rows([shard], "images", "file_name") == [(expected,)]


def test_an_image_with_the_id_of_a_corrupt_one_is_left_out_and_counted(rows: Any, tmp_path: Path) -> None:
    ids = ("1592", "8")
    images = rows.table("images", *({"image_id": i} for i in ids))
    box = {"box_id": 0, "category": "dog", "x": 1, "y": 1, "w": 5, "h": 5}
    boxes = rows.table("boxes", *(box | {"image_id": i} for i in ids))

    counts = export("vg150", iter([{"images": images, "boxes": boxes}]), str(tmp_path / "out"))

    assert counts == {"images": 1, "boxes": 1, "relations": 0, "left_out_images": 1}
    assert rows_of(again(tmp_path / "out")) == ["8"]


def rows_of(shards: list[StageResult]) -> list[str]:
    return [image for (image,) in rows(shards, "images", "image_id")]


def test_any_dataset_is_converted_into_the_files_and_back(tmp_path: Path) -> None:
    drawn = write_split(tmp_path / "world", "hoi", 4, size=64) / "scene_graphs.json"
    out = tmp_path / "vg150"

    assert invoke(["convert", str(drawn), "--from", "visual_genome", "--to", "vg150", "--out", str(out)]) == 0

    paths = [f"dictionary={out / FILES[1]}", f"image_data={out / FILES[2]}"]
    back = str(tmp_path / "back.json")
    command = ["convert", str(out / FILES[0]), "--from", "vg150", "--to", "vg", "--out", back, *paths]
    assert invoke(command) == 0
    one, two = (json.loads(Path(path).read_text()) for path in (drawn, back))
    facts = [
        {
            (image["image_id"], r["predicate"], named[r["subject_id"]], named[r["object_id"]])
            for image in document
            for named in [{o["object_id"]: o["names"][0] for o in image["objects"]}]
            for r in image["relationships"]
        }
        for document in (one, two)
    ]
    assert facts[0] == facts[1]


def test_a_share_that_is_none_is_refused(world: list[StageResult], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="test: 30 is no share"):
        export("vg150", (s.tables for s in world), str(tmp_path / "out"), test=30)

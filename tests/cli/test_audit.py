"""`relforge audit`: what is in a run and in a test set; training and export leave it out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relforge.data.boxes import load_boxes
from relforge.data.sources import load_relations
from tests.fixtures.training import run_folder

__all__ = ["run_folder"]


@pytest.fixture
def benchmark(run_folder: Path, tmp_path: Path) -> Path:
    """A folder with the files of two images of the run, under other names."""
    images = pq.read_table(run_folder / "images", columns=["uri"])["uri"].to_pylist()
    folder = tmp_path / "benchmark"
    folder.mkdir()
    for row in (2, 5):
        (folder / f"x{row}.jpg").write_bytes(Path(images[row]).read_bytes())
    return folder


def test_what_is_found_is_left_out_of_training(
    relforge, run_folder: Path, benchmark: Path, tmp_path: Path
) -> None:
    written = tmp_path / "leaks.json"

    said = relforge("audit", run_folder, "--against", f"test={benchmark}", "--write", written)

    assert said.code == 0, said.err
    assert "2 of 12 images are in a set above" in said.out
    document = json.loads(written.read_text())
    every = pq.read_table(run_folder / "images")["image_id"].to_pylist()
    assert document["images"] == [every[2], every[5]]
    assert [(one["against"], one["other"], one["how"]) for one in document["leaks"]] == [
        ("test", "x2.jpg", "same bytes"),
        ("test", "x5.jpg", "same bytes"),
    ]
    part = {"run": str(run_folder), "relations": "gold"}
    data = load_relations([part | {"exclude": str(written)}])
    assert set(data.images["image_id"].to_pylist()) == set(every) - {every[2], every[5]}
    assert data.reasons["excluded images"] == 2
    boxes = load_boxes([{"run": str(run_folder), "exclude": str(written)}])
    assert set(boxes.images["image_id"].to_pylist()) == set(every) - {every[2], every[5]}


def test_a_recipe_s_training_set_is_audited(
    relforge, run_folder: Path, benchmark: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"data": [{"run": str(run_folder), "relations": "gold"}]}))

    found = relforge("audit", recipe, "--against", benchmark, "--json").json

    assert found["audited"] == 12
    assert len(found["images"]) == 2


def test_export_leaves_out_a_list(relforge, finished: Path, tmp_path: Path) -> None:
    every = relforge("export", finished, "--to", "rlipv2", "--out", tmp_path / "all.json", "--json").json
    first = json.loads((tmp_path / "all.json").read_text())[0]
    (tmp_path / "leaks.json").write_text(json.dumps([str(first["image_id"])]))

    some = relforge(
        "export", finished, "--to", "rlipv2", "--out", tmp_path / "some.json", "--exclude",
        tmp_path / "leaks.json", "--json",
    ).json  # fmt: skip

    assert some["relations"] == every["relations"] - len(first["relationships"])
    assert some["excluded_images"] == 1


def test_a_list_of_another_set_is_said_in_export(relforge, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "leaks.json").write_text('["nobody"]')

    said = relforge("export", finished, "--to", "rlipv2", "--exclude", tmp_path / "leaks.json", "--json")

    assert said.json["excluded_images"] == 0
    assert "leaks.json is in the run: it is a list of another set" in said.json["warnings"][-1]


def test_names_alone_say_so(relforge, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "test.ids").write_text("1\n")

    said = relforge("audit", run_folder, "--against", f"coco={tmp_path / 'test.ids'}")

    assert said.code == 0
    assert "coco: no image files given, so ids and names alone were compared" in said.out + said.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected {images: [id, ...]}, as relforge audit --write makes it"),
        ('["nobody"]', "it is a list of another set"),
    ],
)
def test_a_wrong_list_is_refused(content: str, message: str, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "leaks.json").write_text(content)
    part = {"run": str(run_folder), "relations": "gold", "exclude": str(tmp_path / "leaks.json")}
    with pytest.raises(ValueError, match=r"leaks\.json") as refused:
        load_relations([part])
    assert message in str(refused.value)

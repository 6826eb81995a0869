"""Every command of docs/own_data.md works as written; own data is gold in each form that it names."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.cli.app import invoke
from relforge.cli.eval import OWN_DATA, build_evaluator
from relforge.evaluation.detection_table import write_detections
from tests.fixtures.labelled import label_world

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "own_data.md"


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("configs", "demo"):  # a checkout's
        Path(folder).symlink_to(ROOT / folder)
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    for line in [line for block in blocks for line in block.splitlines() if line]:
        program, *arguments = shlex.split(line)
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True, env={"PYTHONPATH": str(ROOT)})
            continue
        if arguments[0] == "run":
            arguments += ["--executor", "loop"]
        assert program == "relforge"
        assert invoke(arguments) == 0, f"{line}\n{capsys.readouterr().err}"

    assert Path("runs/world_labels/export/label-studio/labelling.xml").is_file()
    assert "mean average precision" in capsys.readouterr().out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label_world(tmp_path_factory.mktemp("labelled"), images=6)


def measured(data: str, tmp_path: Path, capsys: Any, *options: str) -> dict[str, Any]:
    """What `relforge eval TABLE --data DATA` says of detections that are the gold itself."""
    evaluator = build_evaluator("test", "hico", [f"annotations={data}", *OWN_DATA, *options])
    gold = evaluator.read_gold("").pairs
    table = tmp_path / "found.parquet"
    write_detections(gold.take(np.arange(len(gold))), table)
    capsys.readouterr()
    code = invoke(["eval", str(table), *options, "--data", data, "--json"])
    streams = capsys.readouterr()
    assert code == 0, streams.err
    found: dict[str, Any] = json.loads(streams.out)
    return found | {"images": sorted(set(gold.image.tolist()))}


def test_a_run_folder_is_gold_by_its_gold_or_its_relations(run: Path, tmp_path: Path, capsys: Any) -> None:
    own = measured(str(run), tmp_path, capsys)
    assert own["measures"]["mean_average_precision"]["value"] == pytest.approx(1.0)
    labels = measured(str(run), tmp_path, capsys, "relations=relations")
    assert own["counts"]["gold"] != labels["counts"]["gold"]
    assert labels["measures"]["mean_average_precision"]["value"] == pytest.approx(1.0)


def test_a_coco_export_is_gold_under_the_names_of_its_files(run: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "relations.json"
    assert invoke(["export", str(run), "--to", "coco", "--out", str(path)]) == 0
    labels = measured(str(run), tmp_path, capsys, "relations=relations")
    found = measured(str(path), tmp_path, capsys)
    assert found["counts"]["gold"] == labels["counts"]["gold"]
    file = json.loads(path.read_text())
    for number, image in enumerate(file["images"]):
        image["file_name"] = f"holiday {number}.png"
    file["info"] = {"description": "another tool's"}
    path.write_text(json.dumps(file))
    own = measured(str(path), tmp_path, capsys, "format=coco_relations")
    assert own["images"][0].startswith("holiday ")
    assert own["counts"]["gold"] == labels["counts"]["gold"]


def test_broken_rows_of_coco_relations_are_counted_and_equal_names_refused(
    tmp_path: Path, capsys: Any
) -> None:
    from relforge.data.formats.coco_relations import read

    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}
    file = {
        "images": [{"id": 1, "file_name": "a/1.jpg", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [box | {"id": 1}, box | {"id": 2}, box | {"id": 3, "bbox": [0]}],
        "relations": [
            {"subject_id": 1, "object_id": 2, "predicate": "near"},
            {"subject_id": 1, "object_id": 3, "predicate": "near"},
        ],
    }
    path = tmp_path / "own.json"
    path.write_text(json.dumps(file))
    data = read(str(path))
    assert dict(data.reasons) == {"malformed_annotation": 1, "broken_relation": 1}
    assert data.images[0].interactions.tolist() == [[0, 1, 0]]
    file["images"] = [*file["images"], {"id": 2, "file_name": "b/1.png", "width": 9, "height": 9}]
    path.write_text(json.dumps(file))
    with pytest.raises(ValueError, match=r"'a/1.jpg' and 'b/1.png' would have one name"):
        read(str(path))


def test_a_target_that_is_missing_is_one_sentence(capsys: Any) -> None:
    assert invoke(["eval", "hico"]) == 64
    assert "a model and --data DATA" in capsys.readouterr().err

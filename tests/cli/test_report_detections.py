"""`relforge report DETECTIONS annotations=FILE`: measures, why detections are wrong, mAP by rarity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.demo.world.dataset import write_split
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.hico import HicoEvaluator
from relforge.evaluation.pairs import join


@pytest.fixture(scope="module")
def hico(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn world's HICO-DET files."""
    return write_split(tmp_path_factory.mktemp("world"), "hoi", 48, size=64) / "hico"


@pytest.fixture
def options(hico: Path, tmp_path: Path) -> list[str]:
    """The gold with a third of its subjects' boxes moved away, as a table, and what it is compared with."""
    gold = HicoEvaluator(str(hico / "test_hico.json")).read_gold("").pairs
    moved = gold.take(np.arange(len(gold)) % 3 == 0)
    kept = gold.take(np.arange(len(gold)) % 3 != 0)
    moved.subject_box[:] += 500
    write_detections(join([kept, moved]), tmp_path / "found.parquet")
    files = {"annotations": "test_hico.json", "training": "trainval_hico.json"}
    return [str(tmp_path / "found.parquet"), *(f"{name}={hico / file}" for name, file in files.items())]


def test_the_report_says_why_and_how_rare(options: list[str], relforge: Any) -> None:
    result = relforge("report", *options, "--json")
    assert result.code == 0, result.err
    data = json.loads(result.out)
    counted = data["errors"]
    gold = data["counts"]["gold"]
    assert counted["subject box"] == -(-gold // 3) == data["missed"]
    assert counted["right"] == gold - counted["subject box"]
    assert sum(counted.values()) == gold
    assert sum(row["kinds"] for row in data["rarity"]) > 0
    assert sum(row["gold"] for row in data["rarity"]) == gold
    assert data["rarity_of"] == "training"
    assert {row["rows"] for row in data["rarity"]} <= {"0", "1 to 9", "10 to 99"}
    page = Path(data["out"])
    assert page == Path(options[0] + ".html")
    assert "the object fits a pair of the kind, the subject does not" in page.read_text()


def test_the_terminal_has_the_same_tables(options: list[str], relforge: Any, tmp_path: Path) -> None:
    result = relforge("report", *options[:2], "--out", tmp_path / "page.html")
    assert result.code == 0, result.err
    assert "subject box" in result.out
    assert "rows of a kind in the gold" in result.out
    assert (tmp_path / "page.html").exists()


def test_what_is_not_there_is_one_sentence(options: list[str], relforge: Any) -> None:
    result = relforge("report", "absent.parquet", *options[1:])
    assert (result.code, result.err.count("\n")) == (64, 1)
    assert "absent.parquet does not exist" in result.err

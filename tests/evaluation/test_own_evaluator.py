"""An evaluator of one's own, as docs/adding.md writes it: one file, found by `relforge eval` by its name."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from relforge.cli.app import invoke
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.prior import fold
from tests.fixtures.documented import code_blocks, write_module

# two image ids of each half
FIRST, SECOND = ([i for i in map(str, range(99)) if fold(i) == half][:2] for half in (0, 1))
GOLD = {FIRST[0]: ["riding"], FIRST[1]: ["on"], SECOND[0]: ["riding", "on"], SECOND[1]: ["riding"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the documented module, gold, and detections that miss one image."""
    write_module("An evaluator", tmp_path)
    (tmp_path / "gold.json").write_text(json.dumps(GOLD))
    rows = [
        (FIRST[0], "riding", 0.9),
        (SECOND[0], "riding", 0.8),
        (FIRST[1], "on", 0.7),
        (SECOND[0], "on", 0.2),
    ]
    image, predicate, score = (np.array(column, object) for column in zip(*rows, strict=True))
    names, boxes = np.full(len(rows), "man", object), np.tile([0.0, 0.0, 4.0, 4.0], (len(rows), 1))
    write_detections(
        Pairs(image, names, predicate, names, boxes, boxes, score.astype(float)),
        tmp_path / "detections.parquet",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_documented_command_measures_with_the_documented_evaluator(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = code_blocks("An evaluator", "bash")
    program, *arguments = shlex.split(line)
    assert program == "relforge"

    assert invoke([*arguments, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["protocol"]) == ("image_predicates", "all-point")
    by_name = {row["predicate"]: row for row in found["classes"]}
    assert by_name["on"]["average_precision"] == 1.0
    # two of three images first, the third ties with the one that does not show it
    assert by_name["riding"]["average_precision"] == pytest.approx(2 / 3 + 1 / 3 * 3 / 4)
    # the other half shows riding on all images (ranks the first half first) or on one of two
    assert by_name["riding"]["prior_average_precision"] == pytest.approx(3 / 4)
    mean = found["measures"]["mean_average_precision"]
    assert mean["value"] == pytest.approx((1 + 2 / 3 + 1 / 4) / 2)
    assert mean["prior"] is not None


def test_it_prints_the_same_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = code_blocks("An evaluator", "bash")
    assert invoke(shlex.split(line)[1:]) == 0
    out = capsys.readouterr().out
    assert "frequency prior" in out
    assert "riding" in out

"""Curves and progress of a training: JSON lines, TensorBoard where it is installed, the terminal."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from relforge.trainer.curves import Curves
from relforge.trainer.recipes import relations


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_that_continues_replaces_the_lines_of_later_steps(tmp_path: Path) -> None:
    first = Curves(tmp_path, 0)
    for step in range(4):
        first.write(step, total=1.0 + step)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "to')  # the process was killed while it wrote
    second = Curves(tmp_path, 2)
    second.write(2, total=9.0)
    assert [(line["step"], line["total"]) for line in lines(tmp_path)] == [(0, 1.0), (1, 2.0), (2, 9.0)]


class Board:
    """What torch's `SummaryWriter` is called with."""

    made: ClassVar[list[Board]] = []

    def __init__(self, log_dir: str, purge_step: int) -> None:
        self.folder, self.purge_step = log_dir, purge_step
        self.scalars: list[tuple[str, float, int]] = []
        self.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def flush(self) -> None:
        self.flushed = len(self.scalars)


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given an installed TensorBoard
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    curves = Curves(tmp_path, 3)
    curves.write(3, total=2.5, boxes=0.5)
    board = Board.made[-1]
    assert (Path(board.folder), board.purge_step) == (tmp_path / "tensorboard", 3)
    assert board.scalars == [("train/total", 2.5, 3), ("train/boxes", 0.5, 3)]
    assert board.flushed == 2


def test_without_tensorboard_json_lines_are_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    Curves(tmp_path, 0).write(0, total=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_the_terminal_shows_step_losses_and_what_is_left(settings: dict[str, Any], capsys: Any) -> None:
    relations.main(settings | {"steps": 2})
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert len(shown) == 2
    terms = r"\(.*subject_boxes [\d.]+.*relations [\d.]+.*\)"
    pattern = rf"step 1/2  loss [\d.]+ {terms}  [\d.]+ steps/s  0:\d\d:\d\d left"
    assert re.fullmatch(pattern, shown[0])

"""The curves of a training: one JSON line per logged step, and TensorBoard's events where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Curves:
    """`log.jsonl` and, where the package `tensorboard` is installed, `tensorboard/`.

    Args:
        folder: of the training.
        start: step that the run begins with; a run that continues removes what later steps wrote.
    """

    def __init__(self, folder: Path, start: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "log.jsonl"
        kept = [line for line in self._lines() if json.loads(line)["step"] < start]
        self._path.write_text("".join(kept))
        self._board = _open_board(folder / "tensorboard", start)

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        return [line for line in self._path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def write(self, step: int, **values: float) -> None:
        """Add the values of a step."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"train/{name}", value, step)
            self._board.flush()


def _open_board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # not installed
        return None
    return SummaryWriter(str(folder), purge_step=start)

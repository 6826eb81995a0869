"""What a part of benchmarks/gpu.py is given: where it runs, how large, and where its results go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Skip(Exception):
    """The part cannot run here; the message is the reason that the table shows."""


class Recorder:
    """Results of one part, each written and flushed as it comes.

    Args:
        part: its name.
        folder: of `results.jsonl` and of the texts.
        device: `cuda`, or `cpu` for a run of tiny sizes without a GPU.
        quick: fewer repeats and cases.
    """

    def __init__(self, part: str, folder: Path, device: str, quick: bool) -> None:
        self.part, self.folder, self.device, self.quick = part, folder, device, quick
        self.failed = 0

    @property
    def tiny(self) -> bool:
        """Whether sizes must be tiny: on the CPU, where the script itself is what is tested."""
        return self.device == "cpu"

    def calls(self, number: int) -> int:
        """Repeats of a measurement: `number`, a fifth of it with --quick, two on the CPU."""
        return 2 if self.tiny else max(2, number // 5) if self.quick else number

    def figure(self, name: str, value: float | int | str | None, unit: str = "", **details: Any) -> None:
        """One measured number. `value` None: not measured; say why in `details` (`reason=...`)."""
        self._write({"figure": name, "value": value, "unit": unit, **details})

    def check(self, name: str, passed: bool, **details: Any) -> bool:
        """One statement that has to hold; the part fails where it does not. Returns `passed`."""
        self.failed += not passed
        self._write({"check": name, "ok": bool(passed), **details})
        return passed

    def text(self, name: str, content: str) -> None:
        """A text for people, as `PART-name.txt` in the folder."""
        path = self.folder / f"{self.part}-{name}.txt"
        path.write_text(content, encoding="utf-8")
        self._write({"text": path.name})

    def _write(self, line: dict[str, Any]) -> None:
        append(self.folder, {"part": self.part, **line})


def append(folder: Path, line: dict[str, Any]) -> None:
    """One JSON line at the end of `results.jsonl`, on disk when this returns."""
    with (folder / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=str) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """The lines of `results.jsonl`; one that a kill cut short is left out."""
    lines = []
    for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines

"""Training steps in processes of their own: this checkout beside an earlier one, and their peak memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OURS = Path(__file__).resolve().parents[1]


class Worker:
    """A model in a process of its own; see `training_worker.py`.

    Args:
        checkout: whose relforge it is.
        arguments: kind, height, width, batch size.
    """

    def __init__(self, checkout: object, *arguments: object) -> None:
        script = Path(__file__).with_name("training_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        )
        self._answer()

    def step(self) -> float:
        """Processor seconds of a step."""
        return float(self._ask("step")["seconds"])

    def end(self) -> float:
        """The process's peak memory, GB."""
        peak = float(self._ask("end")["peak"])
        self._process.wait()
        return peak

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise SystemExit(f"training_worker.py ended with {self._process.wait()}")


def compare_before(
    kind: str, before: Path, height: int, width: int, batch: int, rounds: int, *, one_at_a_time: bool = False
) -> dict[str, Any]:
    """Another checkout of relforge and this one, in turns.

    Args:
        one_at_a_time: a turn is a process of its own, which ends before the next one begins.
    """
    checkouts = (OURS, before)
    measure_turns = _separate_turns if one_at_a_time else _turns
    times, peaks = measure_turns([(checkout, kind, height, width, batch) for checkout in checkouts], rounds)
    ours, theirs = (statistics.median(found) for found in times)
    row = {"case": kind, "peer": "before", "ours": ours, "theirs": theirs, "ratio": theirs / ours}
    spread = [f"{min(found):.2f} to {max(found):.2f}" for found in times]
    row |= {"unit": "CPU s per step", "range of ours": spread[0], "range of theirs": spread[1]}
    return row | {"peak GB of ours": peaks[0], "peak GB of theirs": peaks[1]}


def _turns(sides: Sequence[tuple[object, ...]], rounds: int) -> tuple[list[list[float]], list[float]]:
    """Seconds of every side's steps and its peak memory; a process each, whose steps take turns."""
    workers = [Worker(*side) for side in sides]
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for found, worker in zip(times, workers, strict=True):
            seconds = worker.step()
            if number:
                found.append(seconds)
    return times, [worker.end() for worker in workers]


def _separate_turns(
    sides: Sequence[tuple[object, ...]], rounds: int
) -> tuple[list[list[float]], list[float]]:
    """The same with one process at any time, which takes a step to warm up and one that counts."""
    times: list[list[float]] = [[] for _ in sides]
    peaks = [0.0 for _ in sides]
    for _ in range(rounds):
        for number, side in enumerate(sides):
            worker = Worker(*side)
            worker.step()
            times[number].append(worker.step())
            peaks[number] = max(peaks[number], worker.end())
    return times, peaks


def measure_memory(kind: str, height: int, width: int, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Step and peak memory of one family, without and with `optimisation.checkpoint_activations`."""
    size = OURS, kind, height, width, batch
    times, peaks = _separate_turns([size, (*size, "checkpoint")], rounds)
    return [
        {
            "case": f"{kind}{label}",
            "ours": statistics.median(found),
            "unit": "CPU s per step",
            "peak GB": peak,
        }
        for label, found, peak in zip(("", ", checkpoint_activations"), times, peaks, strict=True)
    ]

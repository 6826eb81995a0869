"""Training in two processes that `torch.distributed.run` starts, as a user would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from relforge.models.checkpoint import load_model
from relforge.trainer.processes import Processes
from tests.trainer.group import fit

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_two_processes_train_as_one_on_the_batches_of_both(settings: dict[str, Any], tmp_path: Path) -> None:
    # given a line to fit and a recipe, both with other batches in either process
    settings["steps"] = 1
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", str(free_port()), str(ROOT / "tests" / "trainer" / "group.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}

    done = subprocess.run(
        [*command, str(tmp_path), str(recipe)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

    # then both processes hold the weights of one process that trains on the batches of both
    for batches in (1, 2):  # of a step
        files = [tmp_path / f"weights-{batches}-{rank}.pt" for rank in range(2)]
        first, second = (torch.load(file, weights_only=True) for file in files)
        alone = fit(
            tmp_path / f"alone-{batches}", Processes(0, 1, torch.device("cpu")), 0, 1, accumulate=batches
        )
        for name in alone:
            assert torch.equal(first[name], second[name])
            assert torch.allclose(first[name], alone[name], atol=1e-5)
    # and the log has the mean loss of both
    losses = [
        [json.loads(line)["total"] for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        for folder in ("line-1", "alone-1")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # and the recipe leaves one model
    load_model(Path(settings["out"]) / "model")

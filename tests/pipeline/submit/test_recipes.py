"""The recipes in configs/cluster: they parse, pin what is tested, and give commands that there are."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import relforge
from relforge.cli.app import invoke

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "configs" / "cluster"


@pytest.fixture(scope="module")
def rayjob() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CLUSTER / "rayjob.yaml").read_text())
    return values


def pinned_ray() -> str:
    found = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_slurm_gives_the_run_to_a_ray_on_all_nodes(tmp_path: Path) -> None:
    stubs = {
        "scontrol": 'printf "node1\\nnode2\\n"',
        "srun": '"$@"',
        "ray": 'printf "%s\\n" "$@" > "$SAID"',
    }
    for name, body in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SAID": str(tmp_path / "said"),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
    }
    script = [str(CLUSTER / "slurm.sbatch"), "coco.yaml", "run.folder=/shared/my run"]

    subprocess.run(["bash", *script], env=environment, check=True)
    without = subprocess.run(["bash", script[0]], env=environment, capture_output=True, text=True)

    said = (tmp_path / "said").read_text().splitlines()
    assert said == [
        *("symmetric-run", "--address", "node1:6379", "--min-nodes", "2", "--"),
        *("env", "RAY_ADDRESS=auto", "relforge", "run", "coco.yaml", "run.folder=/shared/my run"),
    ]
    assert without.returncode != 0
    assert "usage: sbatch slurm.sbatch CONFIG" in without.stderr


def test_ray_has_the_command_that_slurm_is_given() -> None:
    from ray.scripts.scripts import cli

    options = {name for option in cli.commands["symmetric-run"].params for name in option.opts}
    assert {"--address", "--min-nodes"} <= options


def test_the_rayjob_pins_the_ray_that_is_tested(rayjob: dict[str, Any]) -> None:
    dockerfile = (CLUSTER / "Dockerfile").read_text()
    tag = f"relforge:{'.'.join(relforge.__version__.split('.')[:2])}"
    cluster = rayjob["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {one["image"] for pod in pods for one in pod["template"]["spec"]["containers"]}

    assert (rayjob["apiVersion"], rayjob["kind"]) == ("ray.io/v1", "RayJob")
    assert cluster["rayVersion"] == pinned_ray()
    assert f"FROM rayproject/ray:{pinned_ray()}-" in dockerfile
    assert images == {tag}
    assert f"-t {tag} ." in dockerfile


def test_the_rayjob_gives_a_command_that_there_is(
    rayjob: dict[str, Any], tmp_path: Path, source, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = {"name": "tiny", "split": "train", "format": "tiny:TinySource", "path": str(source(images=3))}
    stages = {"caption": {"backend": "tiny:TinyCaption"}}
    values = {"dataset": tiny, "run": {"folder": str(tmp_path / "run")}, "stages": stages}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    program, verb, path, *overrides = shlex.split(rayjob["spec"]["entrypoint"])
    mounts = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]

    assert (program, verb) == ("relforge", "run")
    assert path.startswith(mounts["volumeMounts"][0]["mountPath"])
    assert invoke(["plan", str(tmp_path / "config.yaml"), *overrides]) == 0, capsys.readouterr().err


def test_only_workers_run_tasks(rayjob: dict[str, Any]) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]

    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    limits = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"

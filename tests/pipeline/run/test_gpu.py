"""Runs and GPUs: one that is left idle is named, one that is shared is shared."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from relforge import machine
from relforge.machine import count_gpus
from relforge.pipeline.run.gpu_share import ALLOCATOR, share_gpu
from relforge.pipeline.run.idle_gpu import describe_idle_gpu
from relforge.pipeline.run.job import Resources, StageSpec


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of device files with two GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return str(tmp_path)


def job(**stages: Any) -> Any:
    specs = [
        StageSpec(name, "x", options, Resources(num_gpus=gpus)) for name, (options, gpus) in stages.items()
    ]
    return SimpleNamespace(stages=specs)


def test_gpus_are_counted_without_torch(
    devices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_gpus(devices) == 2
    for visible, expected in (("1", 1), ("", 0), ("-1", 0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert count_gpus(devices) == expected
    assert count_gpus(str(tmp_path / "absent")) == 0


@pytest.mark.parametrize(
    ("gpus", "cpus", "expected"), [(0, 64, 2), (1, 64, 8), (1, 4, 4), (8, 8, 2), (2, 12, 6)]
)
def test_a_worker_with_a_gpu_has_more_decoders(
    monkeypatch: pytest.MonkeyPatch, gpus: int, cpus: int, expected: int
) -> None:
    monkeypatch.setattr(machine, "count_gpus", lambda: gpus)
    monkeypatch.setattr(machine, "count_usable_cpus", lambda: cpus)
    assert machine.choose_decoders(8) == expected


def test_a_gpu_that_no_stage_asks_for_is_named_with_the_fix(devices: str, tmp_path: Path) -> None:
    models = {"caption": ({"device": "auto"}, 0.0), "tag": ({"device": "cuda"}, 0.0), "parse": ({}, 0.0)}
    said = describe_idle_gpu(job(**models), devices)
    assert said is not None
    assert "on Ray caption and tag will run on the CPU" in said
    assert "stages.caption.resources.num_gpus=1" in said
    assert describe_idle_gpu(job(**models), str(tmp_path / "absent")) is None


def test_nothing_is_said_where_a_stage_asks_or_none_could_use_one(devices: str) -> None:
    assert (
        describe_idle_gpu(job(caption=({"device": "auto"}, 0.5), tag=({"device": "auto"}, 0)), devices)
        is None
    )
    assert describe_idle_gpu(job(caption=({"device": "cpu"}, 0), parse=({}, 0)), devices) is None


def test_a_worker_keeps_to_its_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    monkeypatch.delenv(ALLOCATOR, raising=False)
    share_gpu(0.0)
    assert ALLOCATOR not in os.environ
    for share in (0.5, 1.0, 2.0):
        share_gpu(share)
    assert limits == [0.5]
    assert os.environ.pop(ALLOCATOR) == "expandable_segments:True"

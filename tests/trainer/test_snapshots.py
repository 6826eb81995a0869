"""A snapshot goes back to the device that the training is on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from relforge.trainer import snapshots
from relforge.trainer.optimiser import Average


def test_a_resumed_average_stays_on_the_model_s_device(tmp_path: Path) -> None:
    # given a snapshot, and a model on a device that is not the snapshots' (`meta` in place of a GPU)
    saved = nn.Linear(3, 2)
    snapshots.save(tmp_path, 1, saved, torch.optim.AdamW(saved.parameters()), Average(saved, 0.9), "same")
    model = nn.Linear(3, 2, device="meta")
    average = Average(model, 0.9)
    tensors = dict(average.state)

    # when it is resumed
    snapshots.load(tmp_path, model, torch.optim.AdamW(model.parameters()), average, "same")

    # then the average can be moved, and its tensors are the ones that it had
    average.update(model)
    assert {value.device.type for value in average.state.values()} == {"meta"}
    assert all(average.state[name] is tensor for name, tensor in tensors.items())


def test_a_resumed_average_has_the_values_of_the_snapshot(tmp_path: Path) -> None:
    saved = nn.Linear(3, 2)
    kept = Average(saved, 0.9)
    snapshots.save(tmp_path, 1, saved, torch.optim.AdamW(saved.parameters()), kept, "same")
    model = nn.Linear(3, 2)
    average = Average(model, 0.9)
    snapshots.load(tmp_path, model, torch.optim.AdamW(model.parameters()), average, "same")
    assert all(torch.equal(average.state[name], value) for name, value in kept.state.items())

"""Snapshots of a training run: complete or absent, and enough to continue exactly.

A snapshot holds the model, the optimiser, the moving average and the step. Random numbers need no saving:
every draw is a function of (seed, step, rank).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relforge.trainer.optimiser import Average


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Average | None,
    settings: str,
) -> None:
    """Write `snapshot.pt` by temporary name and rename.

    Args:
        settings: fingerprint of the recipe's settings; `load` refuses another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "step": step,
        "settings": settings,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average.state if average else None,
    }
    temporary = folder / f".snapshot.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "snapshot.pt")


def load(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None, settings: str
) -> int:
    """Restore a snapshot.

    Returns:
        The step to continue with; 0 where there is no snapshot.

    Raises:
        ValueError: the snapshot belongs to other settings.
    """
    path = folder / "snapshot.pt"
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["settings"] != settings:
        raise ValueError(
            f"{path} was made with other settings; give `out` a new folder, or remove it to start again"
        )
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    if average and state["average"] is not None:
        average.state = state["average"]
    return int(state["step"])

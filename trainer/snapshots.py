"""Snapshots of a training run: complete or absent, and enough to continue exactly.

A snapshot holds the model, the optimiser, the moving average, what the losses remember and the step. Random
numbers need no saving: every draw is a function of (seed, step, rank).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from relforge.trainer.optimiser import Average


@runtime_checkable
class Remembers(Protocol):
    """A loss that depends on the batches it has seen."""

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """What it remembers."""

    def load_state_dict(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Remember that."""


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Average | None,
    settings: str,
    losses: Remembers | None = None,
) -> None:
    """Write `snapshot.pt` by temporary name and rename.

    Args:
        settings: fingerprint of the recipe's settings; `load` refuses another one.
        losses: that remember something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "step": step,
        "settings": settings,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average.state if average else None,
        "losses": losses.state_dict() if losses else None,
    }
    temporary = folder / f".snapshot.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "snapshot.pt")


def load(
    folder: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Average | None,
    settings: str,
    losses: Remembers | None = None,
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
        average.load_state_dict(state["average"])
    if losses and state.get("losses"):
        losses.load_state_dict(state["losses"])
    return int(state["step"])

"""Numbers of the tests."""

from __future__ import annotations

import torch

PARTS = {"split": 2, "bfloat16": 1}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))

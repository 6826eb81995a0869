"""Multi-branch fusion of a subject and an object state into one pair state (RLIPv2, MBF)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MultiBranchFusion(nn.Module):
    """ReLU of the sum over branches of W3 ReLU(W1 a * W2 s), as in ResNeXt-style aggregation.

    Args:
        dim: width of both inputs and of the output.
        branches: number of branches; each is `dim / branches` wide.
    """

    def __init__(self, dim: int, branches: int = 16) -> None:
        super().__init__()
        width = dim // branches
        self.fc_1 = nn.ModuleList(nn.Linear(dim, width) for _ in range(branches))
        self.fc_2 = nn.ModuleList(nn.Linear(dim, width) for _ in range(branches))
        self.fc_3 = nn.ModuleList(nn.Linear(width, dim) for _ in range(branches))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        branches = zip(self.fc_1, self.fc_2, self.fc_3, strict=True)
        return torch.stack([w3((w1(a) * w2(b)).relu()) for w1, w2, w3 in branches]).sum(0).relu()

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
        self.joined: tuple[nn.Linear, nn.Linear, nn.Linear] | None = None

    def join(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        """Compute all branches in three products from now on, for inference: the branches' outputs side by
        side, and their sum as one product over all their inputs. Other order of sums, so other last bits.

        Returns:
            the three layers.
        """
        weights = [
            [(layer.weight, layer.bias) for layer in part] for part in (self.fc_1, self.fc_2, self.fc_3)
        ]
        first, second = (
            _linear(torch.cat([w for w, _ in part]), torch.cat([b for _, b in part])) for part in weights[:2]
        )
        third = _linear(
            torch.cat([w for w, _ in weights[2]], 1), torch.stack([b for _, b in weights[2]]).sum(0)
        )
        self.joined = first, second, third
        return self.joined

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if self.joined is not None:
            first, second, third = self.joined
            return third((first(a) * second(b)).relu()).relu()
        branches = zip(self.fc_1, self.fc_2, self.fc_3, strict=True)
        return torch.stack([w3((w1(a) * w2(b)).relu()) for w1, w2, w3 in branches]).sum(0).relu()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer of these tensors; it is no part of the model's state."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer

"""A layer norm's weights."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Norm(NamedTuple):
    """Layer norm over the last axis.

    Args:
        weight, bias: width.
        eps: added to the variance.
    """

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """... x width -> ... x width."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

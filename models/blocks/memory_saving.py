"""Operations of training that keep less for the backward pass, with the same values, random numbers and
gradients as PyTorch's own.

On a CPU PyTorch's dropout keeps its mask as numbers of the input's type, a ReLU before it keeps its output
too, a GELU its input and its output, and attention with dropout all its tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint


class Dropout(nn.Dropout):
    """Dropout that keeps a byte per number."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p if self.training else 0.0)

    def after_relu(self, x: Tensor) -> Tensor:
        """The dropout of the ReLU of x, which keeps its result alone."""
        p = self.p if self.training else 0.0
        if not (p and x.requires_grad and torch.is_grad_enabled()):
            return F.dropout(x.relu(), p)
        result: Tensor = _ReluDropout.apply(x, p)
        return result


def dropout(x: Tensor, p: float) -> Tensor:
    """Dropout of training with probability `p`; a GPU's own keeps no more than this."""
    if not (p and x.requires_grad and torch.is_grad_enabled()) or x.device.type != "cpu":
        return F.dropout(x, p)
    result: Tensor = _Dropout.apply(x, p)
    return result


def recompute(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function(x)`, of which x alone is kept; what a product inside it needs is computed again.

    Args:
        function: draws no random numbers.
        x: its input.
    """
    if not torch.is_grad_enabled():
        return function(x)
    result: Tensor = checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
    return result


def dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float) -> Tensor:
    """Attention with dropout `p` on its table, as `scaled_dot_product_attention`; on a CPU the table is
    computed again in the backward pass."""
    if not (p and torch.is_grad_enabled()) or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)
    result: Tensor = checkpoint(
        F.scaled_dot_product_attention, query, key, value, mask, p, use_reentrant=False
    )
    return result


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        noise = torch.empty_like(x).bernoulli_(1 - p)
        ctx.p = p
        ctx.save_for_backward(noise.bool())
        return noise.div_(1 - p).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return kept.to(gradient.dtype).div_(1 - ctx.p).mul_(gradient), None


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        result = F.dropout(x.relu(), p)
        ctx.p = p
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors
        return (result > 0).to(gradient.dtype).div_(1 - ctx.p).mul_(gradient), None

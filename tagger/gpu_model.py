"""The R-Tagger's network made ready for a GPU: the same function in fewer kernels and fewer bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from relforge.models.blocks.frozen_norm import FrozenBatchNorm2d
from relforge.models.blocks.heads import BoxHeads


class _Parts(Protocol):
    """What the R-Tagger's network consists of."""

    backbone: nn.Module
    pyramid: nn.Module
    classifier: nn.Module
    pair_fusion: nn.Module | None
    subject_boxes: BoxHeads
    object_boxes: BoxHeads

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """All of them by name."""


def prepare_for_gpu(model: _Parts, dtype: torch.dtype) -> None:
    """Prepare a model for inference, in place; it must not be trained afterwards.

    The classifier computes in float32 whatever the type. In bfloat16, kernels are joined (`join_kernels`),
    and weights of products are kept in bfloat16. Autocast would round them so in every batch, to the same
    bits; all other tensors stay float32, as under autocast.

    Args:
        model: in evaluation mode, on its device.
        dtype: of the arithmetic.
    """
    model.classifier.float32 = True
    if dtype == torch.float32:
        return
    join_kernels(model, dtype)
    for name, child in model.named_children():
        if name not in ("text_encoder", "classifier"):  # both compute in float32
            keep_weights(child, dtype)


def join_kernels(model: _Parts, dtype: torch.dtype) -> None:
    """Do the same in fewer kernels, in place: batch norms folded into convolutions, the branches of the
    fusion joined, the box heads of both roles in one batched product, channels innermost in convolutions.

    Args:
        dtype: of the joined weights.
    """
    fold_batch_norms(model.backbone)
    if model.pair_fusion is not None:
        for layer in model.pair_fusion.join():
            keep_weights(layer, dtype)
    model.subject_boxes.join(model.object_boxes, dtype)
    for part in (model.backbone, model.pyramid):
        part.to(memory_format=torch.channels_last)


def keep_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of products (linear layers, convolutions, attention) in `dtype`, in place."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            tensors = [part.weight, part.bias]
        elif isinstance(part, nn.MultiheadAttention):
            tensors = [part.in_proj_weight, part.in_proj_bias]
        else:
            continue
        for tensor in tensors:
            if tensor is not None:
                tensor.data = tensor.data.to(dtype)


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every frozen batch norm that follows a convolution of the same layer into it, in place."""
    for layer in list(module.modules()):
        convolution = getattr(layer, "convolution", None)
        norm = getattr(layer, "normalization", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, FrozenBatchNorm2d):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            bias: Tensor = norm.bias - norm.running_mean * scale
            if convolution.bias is not None:
                bias = bias + convolution.bias.data * scale
            convolution.weight.data = convolution.weight.data * scale[:, None, None, None]
            convolution.bias = nn.Parameter(bias, requires_grad=False)
            layer.normalization = nn.Identity()

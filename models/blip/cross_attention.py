"""The cross-attention cache: keys and values once per image, however many captions attend to them."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.kernels.amx.attention import PackedKeys
from relforge.models.blip.arithmetic import Arithmetic


class CrossAttentionCache(Protocol):
    """Keys and values of several images in all layers; a new image overwrites the entry of a finished one."""

    nbytes: int
    """Of one image, all layers."""

    def write(self, layer: int, entry: int, keys_values: Tensor) -> None:
        """Store an image's keys and values, image tokens x (2 * width), keys first."""

    def attend(self, layer: int, entry: int, queries: Tensor) -> Tensor:
        """Attention of N x width queries to one image: N x width."""

    def attend_all(self, layer: int, queries: Tensor, live: list[int]) -> Tensor:
        """Attention of images x samples x width queries, each to its image: the same size; entries that are
        not in `live` give zeros on a CPU, numbers without meaning elsewhere."""


def allocate_cross_cache(
    arithmetic: Arithmetic, layers: int, images: int, tokens: int, heads: int, head: int
) -> CrossAttentionCache:
    """A cache in the layout that this machine's arithmetic reads fastest.

    Args:
        images: entries.
        tokens: of each image.
        heads, head: of the attention, and the width of each.
    """
    kind = TorchCache if arithmetic.amx is None else _AmxCache
    return kind(arithmetic, layers, images, tokens, heads, head)


class _AmxCache:
    def __init__(
        self, arithmetic: Arithmetic, layers: int, images: int, tokens: int, heads: int, head: int
    ) -> None:
        assert arithmetic.amx is not None
        self.images = images
        self.packed = PackedKeys(layers * images, tokens, heads, head, arithmetic.amx)
        self.nbytes = self.packed.packed.nbytes // images

    def write(self, layer: int, entry: int, keys_values: Tensor) -> None:
        self.packed.write(layer * self.images + entry, *keys_values.chunk(2, 1))

    def attend(self, layer: int, entry: int, queries: Tensor) -> Tensor:
        return self.packed.attend(layer * self.images + entry, queries)

    def attend_all(self, layer: int, queries: Tensor, live: list[int]) -> Tensor:
        mixed = torch.zeros(queries.shape)
        self.packed.attend_batch(layer * self.images, queries, mixed, live)
        return mixed


class TorchCache:
    """Keys and values as one tensor."""

    def __init__(
        self, arithmetic: Arithmetic, layers: int, images: int, tokens: int, heads: int, head: int
    ) -> None:
        self.heads, self.head = heads, head
        # layers x {key, value} x images x heads x image tokens x head width
        size = (layers, 2, images, heads, tokens, head)
        self.stored = torch.zeros(size, device=arithmetic.device, dtype=arithmetic.dtype)
        self.nbytes = self.stored.nbytes // images

    def write(self, layer: int, entry: int, keys_values: Tensor) -> None:
        parts = keys_values.view(len(keys_values), 2, self.heads, self.head)
        self.stored[layer, :, entry].copy_(parts.permute(1, 2, 0, 3))

    def attend(self, layer: int, entry: int, queries: Tensor) -> Tensor:
        mixed = attend(self._split_heads(queries), *self.stored[layer, :, entry])
        return mixed.transpose(0, 1).reshape(queries.shape)

    def attend_all(self, layer: int, queries: Tensor, live: list[int]) -> Tensor:
        keys, values = self.stored[layer]
        split = self._split_heads(queries)  # images x heads x samples x head width
        if queries.device.type == "cpu":
            # one image at a time: the same shape always, and nothing computed for unused entries
            mixed = torch.zeros(split.shape, dtype=queries.dtype)
            for entry in live:
                attend(split[entry], keys[entry], values[entry], out=mixed[entry])
        else:
            mixed = F.scaled_dot_product_attention(split, keys, values)
        return mixed.transpose(1, 2).reshape(queries.shape)

    def _split_heads(self, queries: Tensor) -> Tensor:
        return queries.unflatten(-1, (self.heads, self.head)).transpose(-3, -2)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Attention of a stack of heads: stack x queries x head width, keys and values alike. `mask`, added to
    the scores, is stack x queries x keys or broadcasts to it."""
    scale = q.shape[-1] ** -0.5
    start, weight = (q.new_empty(1), 0) if mask is None else (mask, 1)
    scores = torch.baddbmm(start, q, k.transpose(1, 2), beta=weight, alpha=scale)
    return torch.bmm(scores.softmax(-1), v, out=out)

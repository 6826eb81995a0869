"""The images' cross-attention keys and values: once per image, however many captions look at them."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.kernels.amx.attention import PackedKeys
from relforge.models.blip.arithmetic import Arithmetic


class SeenImages(Protocol):
    """Slots for images; an image that leaves gives its slot to another."""

    nbytes: int
    """Of one image, all layers."""

    def put(self, layer: int, slot: int, both: Tensor) -> None:
        """Keep an image's keys and values, image tokens x (2 * width), keys first."""

    def look(self, layer: int, slot: int, queries: Tensor) -> Tensor:
        """Attention of N x width queries to one image: N x width."""

    def look_all(self, layer: int, queries: Tensor, live: list[int]) -> Tensor:
        """Attention of images x samples x width queries, each to its image: the same size; slots that are
        not in `live` hold zeros on a CPU, numbers without meaning elsewhere."""


def seen_images(how: Arithmetic, layers: int, images: int, tokens: int, heads: int, head: int) -> SeenImages:
    """Memory for so many images, of the kind this machine's arithmetic reads best.

    Args:
        heads, head: of the attention, and the width of each.
    """
    kind = _Plain if how.amx is None else _Amx
    return kind(how, layers, images, tokens, heads, head)


class _Amx:
    def __init__(self, how: Arithmetic, layers: int, images: int, tokens: int, heads: int, head: int) -> None:
        assert how.amx is not None
        self.images = images
        self.keys = PackedKeys(layers * images, tokens, heads, head, how.amx)
        self.nbytes = self.keys.packed.nbytes // images

    def put(self, layer: int, slot: int, both: Tensor) -> None:
        self.keys.write(layer * self.images + slot, *both.chunk(2, 1))

    def look(self, layer: int, slot: int, queries: Tensor) -> Tensor:
        return self.keys.attend(layer * self.images + slot, queries)

    def look_all(self, layer: int, queries: Tensor, live: list[int]) -> Tensor:
        mixed = torch.zeros(queries.shape)
        self.keys.attend_batch(layer * self.images, queries, mixed, live)
        return mixed


class _Plain:
    def __init__(self, how: Arithmetic, layers: int, images: int, tokens: int, heads: int, head: int) -> None:
        self.heads, self.head = heads, head
        # layers x {key, value} x images x heads x image tokens x head width
        size = (layers, 2, images, heads, tokens, head)
        self.kept = torch.zeros(size, device=how.device, dtype=how.dtype)
        self.nbytes = self.kept.nbytes // images

    def put(self, layer: int, slot: int, both: Tensor) -> None:
        parts = both.view(len(both), 2, self.heads, self.head)
        self.kept[layer, :, slot].copy_(parts.permute(1, 2, 0, 3))

    def look(self, layer: int, slot: int, queries: Tensor) -> Tensor:
        mixed = attend(self._by_head(queries), *self.kept[layer, :, slot])
        return mixed.transpose(0, 1).reshape(queries.shape)

    def look_all(self, layer: int, queries: Tensor, live: list[int]) -> Tensor:
        keys, values = self.kept[layer]
        split = self._by_head(queries)  # images x heads x samples x head width
        if queries.device.type == "cpu":
            # one image at a time: the same shape always, and nothing done for empty slots
            mixed = torch.zeros(split.shape, dtype=queries.dtype)
            for slot in live:
                attend(split[slot], keys[slot], values[slot], out=mixed[slot])
        else:
            mixed = F.scaled_dot_product_attention(split, keys, values)
        return mixed.transpose(1, 2).reshape(queries.shape)

    def _by_head(self, queries: Tensor) -> Tensor:
        return queries.unflatten(-1, (self.heads, self.head)).transpose(-3, -2)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Attention of a stack of heads: stack x queries x head width, keys and values alike. `mask`, added to
    the scores, is stack x queries x keys or what spreads to it."""
    scale = q.shape[-1] ** -0.5
    start, weight = (q.new_empty(1), 0) if mask is None else (mask, 1)
    scores = torch.baddbmm(start, q, k.transpose(1, 2), beta=weight, alpha=scale)
    return torch.bmm(scores.softmax(-1), v, out=out)

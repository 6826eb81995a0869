"""BLIP's vision transformer, run on a fixed number of pictures at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.kernels.amx.attention import PackedKeys
from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.mlp import Mlp
from relforge.models.blip.shape import VisionShape
from relforge.models.blip.weights import Weights


class VisionEncoder:
    """Pixels to image tokens.

    Args:
        state: the checkpoint's tensors under transformers' names.
        batch: pictures per call; always this many, so that a picture's tokens never depend on its company.
        how: where it runs, and what computes its products.
    """

    def __init__(self, state: Mapping[str, Tensor], shape: VisionShape, batch: int, how: Arithmetic) -> None:
        self.shape = shape
        self.batch = batch
        take = Weights(state, how, batch * shape.tokens, shape.eps)
        # the patch convolution has stride = kernel, so it is one matrix product over unfolded patches
        patches = batch * (shape.tokens - 1)
        self.patch = take.linear("vision_model.embeddings.patch_embedding", rows=patches)
        self.first = take.tensor("vision_model.embeddings.class_embedding")
        self.positions = take.tensor("vision_model.embeddings.position_embedding")
        self.last = take.norm("vision_model.post_layernorm")
        self.layers = [
            (
                take.norm(f"vision_model.encoder.layers.{n}.layer_norm1"),
                take.linear(f"vision_model.encoder.layers.{n}.self_attn.qkv"),
                take.linear(f"vision_model.encoder.layers.{n}.self_attn.projection"),
                take.norm(f"vision_model.encoder.layers.{n}.layer_norm2"),
                Mlp(
                    take.linear(f"vision_model.encoder.layers.{n}.mlp.fc1"),
                    take.linear(f"vision_model.encoder.layers.{n}.mlp.fc2"),
                    shape.act,
                ),
            )
            for n in range(shape.depth)
        ]
        attention = _Plain if how.amx is None else _Amx
        self.attend = attention(how, batch, shape.tokens, shape.heads, shape.width)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """batch x 3 x S x S normalised pixels -> batch x tokens x width."""
        x = self._embed(pixels).flatten(0, 1)  # batch*tokens x width
        for norm1, qkv, projection, norm2, mlp in self.layers:
            x = projection(self.attend(qkv(x, norm1)), residual=x)
            x = mlp(x, residual=x, norm=norm2)
        return self.last(x).view(self.batch, self.shape.tokens, self.shape.width)

    def _embed(self, pixels: Tensor) -> Tensor:
        p = self.shape.patch_size
        side = self.shape.image_size // p
        patches = pixels.to(self.first.dtype).view(self.batch, 3, side, p, side, p)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(self.batch * side * side, 3 * p * p)
        tokens = self.patch(patches).view(self.batch, side * side, -1)
        return torch.cat([self.first.expand(self.batch, 1, -1), tokens], dim=1) + self.positions


class _Plain:
    """Attention of each picture to itself: batch*tokens x (3 * width) queries, keys and values in,
    batch*tokens x width out."""

    def __init__(self, how: Arithmetic, batch: int, tokens: int, heads: int, width: int) -> None:
        # kept between calls: writing to fresh memory takes twice as long as the copy
        size = (3, batch, heads, tokens, width // heads)
        self.parts = torch.empty(size, device=how.device, dtype=how.dtype)

    def __call__(self, qkv: Tensor) -> Tensor:
        _, batch, heads, tokens, _ = self.parts.shape
        split = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        # attention over strided views takes a third longer than the copy and itself
        q, k, v = self.parts.copy_(split)  # each batch x heads x tokens x head width
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(len(qkv), -1)


class _Amx:
    """The same on the tile unit."""

    def __init__(self, how: Arithmetic, batch: int, tokens: int, heads: int, width: int) -> None:
        assert how.amx is not None
        self.keys = PackedKeys(1, tokens, heads, width // heads, how.amx)

    def __call__(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.chunk(3, 1)
        mixed = torch.empty(q.shape)
        for begin in range(0, len(qkv), self.keys.keys):
            own = slice(begin, begin + self.keys.keys)  # one picture's tokens
            self.keys.write(0, k[own], v[own])
            self.keys.attend(0, q[own], out=mixed[own])
        return mixed

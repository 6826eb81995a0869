"""BLIP's vision transformer, run on a fixed number of images at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.kernels.amx.attention import PackedKeys
from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.layers import Mlp
from relforge.models.blip.shape import VisionShape
from relforge.models.blip.weights import Weights


class VisionEncoder:
    """Pixels to image tokens.

    Args:
        state: the checkpoint's tensors under transformers' names.
        batch_size: images per call; always this many, so that an image's tokens never depend on the others.
        arithmetic: where it runs, and what computes its GEMMs.
    """

    def __init__(
        self, state: Mapping[str, Tensor], shape: VisionShape, batch_size: int, arithmetic: Arithmetic
    ) -> None:
        self.shape = shape
        self.batch_size = batch_size
        weights = Weights(state, arithmetic, batch_size * shape.tokens, shape.eps)
        # the patch convolution has stride = kernel, so it is one GEMM over unfolded patches
        patches = batch_size * (shape.tokens - 1)
        self.patch = weights.linear("vision_model.embeddings.patch_embedding", rows=patches)
        self.class_token = weights.tensor("vision_model.embeddings.class_embedding")
        self.positions = weights.tensor("vision_model.embeddings.position_embedding")
        self.last_norm = weights.norm("vision_model.post_layernorm")
        self.layers = [
            (
                weights.norm(f"vision_model.encoder.layers.{n}.layer_norm1"),
                weights.linear(f"vision_model.encoder.layers.{n}.self_attn.qkv"),
                weights.linear(f"vision_model.encoder.layers.{n}.self_attn.projection"),
                weights.norm(f"vision_model.encoder.layers.{n}.layer_norm2"),
                Mlp(
                    weights.linear(f"vision_model.encoder.layers.{n}.mlp.fc1"),
                    weights.linear(f"vision_model.encoder.layers.{n}.mlp.fc2"),
                    shape.act,
                ),
            )
            for n in range(shape.depth)
        ]
        attention = _TorchAttention if arithmetic.amx is None else _AmxAttention
        self.attend = attention(arithmetic, batch_size, shape.tokens, shape.heads, shape.width)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """batch x 3 x S x S normalised pixels -> batch x tokens x width."""
        x = self._embed(pixels).flatten(0, 1)  # batch*tokens x width
        for norm1, qkv, projection, norm2, mlp in self.layers:
            x = projection(self.attend(qkv(x, norm1)), residual=x)
            x = mlp(x, residual=x, norm=norm2)
        return self.last_norm(x).view(self.batch_size, self.shape.tokens, self.shape.width)

    def _embed(self, pixels: Tensor) -> Tensor:
        p = self.shape.patch_size
        side = self.shape.image_size // p
        patches = pixels.to(self.class_token.dtype).view(self.batch_size, 3, side, p, side, p)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(self.batch_size * side * side, 3 * p * p)
        tokens = self.patch(patches).view(self.batch_size, side * side, -1)
        return torch.cat([self.class_token.expand(self.batch_size, 1, -1), tokens], dim=1) + self.positions


class _TorchAttention:
    """Attention of each image to itself: batch*tokens x (3 * width) queries, keys and values in,
    batch*tokens x width out."""

    def __init__(self, arithmetic: Arithmetic, batch_size: int, tokens: int, heads: int, width: int) -> None:
        # kept between calls: writing to fresh memory takes twice as long as the copy
        size = (3, batch_size, heads, tokens, width // heads)
        self.parts = torch.empty(size, device=arithmetic.device, dtype=arithmetic.dtype)

    def __call__(self, qkv: Tensor) -> Tensor:
        _, batch_size, heads, tokens, _ = self.parts.shape
        split = qkv.view(batch_size, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        if qkv.device.type != "cpu":  # the kernels of a GPU read strides
            return F.scaled_dot_product_attention(*split).transpose(1, 2).reshape(len(qkv), -1)
        # attention over strided views takes a third longer than the copy and itself
        q, k, v = self.parts.copy_(split)  # each batch x heads x tokens x head width
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(len(qkv), -1)


class _AmxAttention:
    """The same on AMX."""

    def __init__(self, arithmetic: Arithmetic, batch_size: int, tokens: int, heads: int, width: int) -> None:
        assert arithmetic.amx is not None
        self.packed = PackedKeys(1, tokens, heads, width // heads, arithmetic.amx)

    def __call__(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.chunk(3, 1)
        mixed = torch.empty(q.shape)
        for begin in range(0, len(qkv), self.packed.keys):
            own = slice(begin, begin + self.packed.keys)  # one image's tokens
            self.packed.write(0, k[own], v[own])
            self.packed.attend(0, q[own], out=mixed[own])
        return mixed

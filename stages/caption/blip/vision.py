"""BLIP's vision transformer, run on a fixed number of pictures at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.activations import ACT2FN

from relforge.stages.caption.blip.linear import Linear
from relforge.stages.caption.blip.shape import VisionShape
from relforge.stages.caption.blip.weights import Weights


class VisionEncoder:
    """Pixels to image tokens.

    Args:
        state: the checkpoint's tensors under transformers' names.
        batch: pictures per call; always this many, so that a picture's tokens never depend on its company.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        shape: VisionShape,
        batch: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.shape = shape
        self.batch = batch
        self.act = ACT2FN[shape.act]
        take = Weights(state, device, dtype, batch * shape.tokens)
        patch = state["vision_model.embeddings.patch_embedding.weight"]
        patches = batch * (shape.tokens - 1)
        # the patch convolution has stride = kernel, so it is one matrix product over unfolded patches
        bias = take.tensor("vision_model.embeddings.patch_embedding.bias")
        self.patch = Linear(patch.flatten(1).to(device, dtype), bias, patches)
        self.first = take.tensor("vision_model.embeddings.class_embedding")
        self.positions = take.tensor("vision_model.embeddings.position_embedding")
        self.last = take.norm("vision_model.post_layernorm")
        self.layers = [
            (
                take.norm(f"vision_model.encoder.layers.{n}.layer_norm1"),
                take.linear(f"vision_model.encoder.layers.{n}.self_attn.qkv"),
                take.linear(f"vision_model.encoder.layers.{n}.self_attn.projection"),
                take.norm(f"vision_model.encoder.layers.{n}.layer_norm2"),
                take.linear(f"vision_model.encoder.layers.{n}.mlp.fc1"),
                take.linear(f"vision_model.encoder.layers.{n}.mlp.fc2"),
            )
            for n in range(shape.depth)
        ]
        heads = (3, batch, shape.heads, shape.tokens, shape.width // shape.heads)
        # kept between calls: writing to fresh memory takes twice as long as the copy
        self.parts = torch.empty(heads, device=device, dtype=dtype)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """batch x 3 x S x S normalised pixels -> batch x tokens x width."""
        shape = self.shape
        x = self._embed(pixels).flatten(0, 1)  # batch*tokens x width
        for norm1, qkv, projection, norm2, fc1, fc2 in self.layers:
            parts = qkv(F.layer_norm(x, (shape.width,), *norm1, shape.eps))
            parts = parts.view(self.batch, shape.tokens, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
            # attention over strided views takes a third longer than the copy and itself
            q, k, v = self.parts.copy_(parts)  # each batch x heads x tokens x head width
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
            x = projection(mixed).add_(x)
            hidden = self.act(fc1(F.layer_norm(x, (shape.width,), *norm2, shape.eps)))
            x = fc2(hidden).add_(x)
        x = F.layer_norm(x, (shape.width,), *self.last, shape.eps)
        return x.view(self.batch, shape.tokens, shape.width)

    def _embed(self, pixels: Tensor) -> Tensor:
        p = self.shape.patch_size
        side = self.shape.image_size // p
        patches = pixels.to(self.first.dtype).view(self.batch, 3, side, p, side, p)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(self.batch * side * side, 3 * p * p)
        tokens = self.patch(patches).view(self.batch, side * side, -1)
        return torch.cat([self.first.expand(self.batch, 1, -1), tokens], dim=1) + self.positions

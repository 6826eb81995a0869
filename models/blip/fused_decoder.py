"""The text decoder's work on a GPU in few kernels: a step of all rows, the prompts of many images at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.kernels.decoding.operators import MAX_K, why_not
from relforge.models.blip.cross_attention import TorchCache
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.layers import Norm
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.shape import TextShape

OPS = torch.ops.relforge
AT_ONCE = 16
"""Images whose keys and values are computed in one product."""


def why_not_fused(settings: Nucleus, text: TextShape, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the fused kernels cannot run a captioner, or None."""
    if not 1 <= settings.top_k <= MAX_K:
        return f"top_k is {settings.top_k}; the kernels take 1 to {MAX_K}"
    if text.act != "gelu":
        return f"the activation is {text.act}; the kernels have gelu"
    return why_not(device.type, dtype)


class FusedDecoder:
    """A text decoder as kernels of rows.

    Args:
        decoder: with torch's arithmetic. The last entry of its caches is for what nobody reads.
        prompt: token ids every caption starts with.
        capacity: images whose prompts are computed together; always as many, so that the shape never changes.
    """

    def __init__(self, decoder: TextDecoder, prompt: tuple[int, ...], capacity: int) -> None:
        self.decoder, self.steps, self.capacity = decoder, len(prompt), capacity
        assert isinstance(decoder.cross_cache, TorchCache)
        self.stored = decoder.cross_cache.stored
        device, used = decoder.device, capacity * len(prompt)
        self.tokens = torch.zeros(decoder.rows, dtype=torch.long, device=device)
        self.positions = torch.zeros_like(self.tokens)
        self.tokens[:used] = torch.tensor(prompt, device=device).repeat(capacity)
        self.positions[:used] = torch.arange(self.steps, device=device).repeat(capacity)
        # keys and values of all layers in one product
        self.kv_weight = torch.cat([layer.weight for layer in decoder.cross_kv])
        self.kv_bias = torch.cat([layer.bias for layer in decoder.cross_kv])
        for layer, part in zip(decoder.cross_kv, self.kv_weight.chunk(len(decoder.cross_kv)), strict=True):
            layer.weight = part  # kept once
        # depth x {key, value} x images x heads x steps x head width
        depth, heads = len(decoder.layers), decoder.shape.heads
        size = (depth, 2, decoder.images, heads, self.steps, decoder.head)
        self.prompt_caches = torch.zeros(size, device=device, dtype=self.stored.dtype)

    def write_images(self, entries: Tensor, tokens: Tensor) -> None:
        """Write the keys and values of images to their entries of the cross-attention cache.

        Args:
            entries: n, int64.
            tokens: n x image tokens x vision width.
        """
        depth, _, _, heads, count, head = self.stored.shape
        out = F.linear(tokens.flatten(0, 1), self.kv_weight, self.kv_bias)
        parts = out.view(len(entries), count, depth, 2, heads, head).permute(2, 3, 0, 4, 1, 5)
        self.stored.index_copy_(2, entries, parts)

    def prefill(self, entries: Tensor, rows_of_images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the prompts of images and keep their self-attention caches.

        Args:
            entries: capacity, of each image in the caches.
            rows_of_images: images x steps: row `i * steps + k` is token k of image i; `rows` where none is.

        Returns:
            as `step`: row `i * steps + steps - 1` has the logits after the prompt of image i.
        """
        decoder, used = self.decoder, self.capacity * self.steps
        x = decoder.embed(self.tokens, self.positions)
        for number, layer in enumerate(decoder.layers):
            own = layer.qkv(x)[:used].view(self.capacity, self.steps, 3, -1, decoder.head)
            parts = own.permute(2, 0, 3, 1, 4)  # {q, k, v} x capacity x heads x steps x head width
            self.prompt_caches[number].index_copy_(1, entries, parts[1:])
            mixed = torch.zeros_like(x)
            attended = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
            mixed[:used] = attended.transpose(1, 2).reshape(used, -1)
            x = _add_norm(layer.self_out(mixed), x, layer.self_norm)
            mixed = OPS.decoder_cross_attention(layer.cross_q(x), self.stored[number], rows_of_images)
            x = _add_norm(layer.cross_out(mixed), x, layer.cross_norm)
            x = _add_norm(layer.mlp.down(layer.mlp.up(x), act=layer.mlp.act), x, layer.norm)
        return self._project(x)

    def step(self, state: Tensor, rows_of_images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of the next token of every row.

        Args:
            state: of `kernels.decoding.state`; the newest token of each row is read from it.
            rows_of_images: images x samples, the rows that caption each image; `rows` where there is none.

        Returns:
            rows x vocabulary float32, and the bias that is still to be added, or None.
        """
        decoder = self.decoder
        x = OPS.decoder_embed(state, decoder.words, decoder.positions, *decoder.first_norm)
        for number, layer in enumerate(decoder.layers):
            mixed = OPS.decoder_self_attention(layer.qkv(x), decoder.self_cache[number], state)
            x = _add_norm(layer.self_out(mixed), x, layer.self_norm)
            mixed = OPS.decoder_cross_attention(layer.cross_q(x), self.stored[number], rows_of_images)
            x = _add_norm(layer.cross_out(mixed), x, layer.cross_norm)
            x = _add_norm(layer.mlp.down(layer.mlp.up(x), act=layer.mlp.act), x, layer.norm)
        return self._project(x)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        decoder = self.decoder
        hidden = OPS.decoder_add_norm(decoder.transform(x), None, *decoder.transform_norm, True)
        return decoder.product_with_vocabulary(hidden)


def _add_norm(x: Tensor, residual: Tensor, norm: Norm) -> Tensor:
    return OPS.decoder_add_norm(x, residual, *norm, False)

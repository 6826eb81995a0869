"""BLIP's text decoder for a decoder batch of fixed size, each row one unfinished caption.

Every GEMM runs over exactly `rows` rows, unused ones included, so that a row's bits do not depend on the
other captions of the batch. An image's keys and values exist once, however many captions attend to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.activations import ACT2FN

from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.cross_attention import allocate_cross_cache, attend
from relforge.models.blip.layers import Linear, Mlp, Norm
from relforge.models.blip.shape import BlipShape
from relforge.models.blip.weights import Weights


@dataclass(frozen=True)
class _Layer:
    qkv: Linear
    self_out: Linear
    self_norm: Norm
    cross_q: Linear
    cross_out: Linear
    cross_norm: Norm
    mlp: Mlp
    norm: Norm


class TextDecoder:
    """The decoder's weights, its self-attention cache and the cross-attention cache.

    Args:
        state: tensors under transformers' names.
        rows: captions decoded together (the decoder batch).
        max_length: tokens of a caption, prompt included: the static size of the self-attention cache.
        images: entries of the cross-attention cache.
        samples: rows per image in cross-attention; fixed, so that an image's GEMMs always have one shape.
        arithmetic: where it runs, and what computes its GEMMs.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        shape: BlipShape,
        rows: int,
        max_length: int,
        images: int,
        samples: int,
        arithmetic: Arithmetic,
    ) -> None:
        text = shape.text
        self.shape, self.rows, self.max_length = text, rows, max_length
        self.images, self.samples = images, samples
        self.device = device = arithmetic.device
        self.head = text.width // text.heads
        weights = Weights(state, arithmetic, rows, text.eps)
        self.words = weights.tensor("text_decoder.bert.embeddings.word_embeddings.weight")
        self.positions = weights.tensor("text_decoder.bert.embeddings.position_embeddings.weight")
        self.first_norm = weights.norm("text_decoder.bert.embeddings.LayerNorm")
        names = [f"text_decoder.bert.encoder.layer.{n}." for n in range(text.depth)]
        self.layers = [_build_layer(weights, name, text.act) for name in names]
        self.transform = weights.linear("text_decoder.cls.predictions.transform.dense")
        self.transform_norm = weights.norm("text_decoder.cls.predictions.transform.LayerNorm")
        vocabulary = weights.tensor("text_decoder.cls.predictions.decoder.weight")
        bias = weights.tensor("text_decoder.cls.predictions.bias")
        self.vocabulary = Linear(vocabulary, bias, rows, arithmetic.amx)
        wide = device.type != "cpu" and arithmetic.dtype == torch.bfloat16
        self.vocabulary_bias = bias.float() if wide else None
        tokens = shape.vision.tokens
        # a layer's image keys and values in one GEMM over one image
        self.cross_kv = [
            weights.linear(
                f"text_decoder.bert.encoder.layer.{n}.crossattention.self.key",
                f"text_decoder.bert.encoder.layer.{n}.crossattention.self.value",
                rows=tokens,
            )
            for n in range(text.depth)
        ]
        # depth x {key, value} x rows x heads x length x head width
        size = (text.depth, 2, rows, text.heads, max_length, self.head)
        self.self_cache = torch.zeros(size, device=device, dtype=arithmetic.dtype)
        # rows x {key, value} x heads: where a caption's own cache begins in that of a layer, in head widths
        pair, row, head = (torch.arange(n, device=device) for n in (2, rows, text.heads))
        self.cache_starts = (((pair[:, None] * rows + row[:, None, None]) * text.heads) + head) * max_length
        self.cross_cache = allocate_cross_cache(arithmetic, text.depth, images, tokens, text.heads, self.head)

    def write_image(self, entry: int, tokens: Tensor) -> None:
        """Write the keys and values of one image, for all its captions, to an entry of the cross-attention
        cache.

        Args:
            tokens: image tokens x vision width.
        """
        for layer, project in enumerate(self.cross_kv):
            self.cross_cache.write(layer, entry, project(tokens))

    def prefill(self, entries: list[int], prompt: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Run the prompt once per image.

        Args:
            entries: of the images in the cross-attention cache, at most `rows // len(prompt)`.
            prompt: token ids, `[DEC]` first.

        Returns:
            logits after the prompt: len(entries) x vocabulary, float32; and its self-attention cache, to be
            copied to each of the image's rows: depth x 2 x len(entries) x heads x len(prompt) x head width.
        """
        n, steps = len(entries), len(prompt)
        tokens = torch.zeros(self.rows, dtype=torch.long, device=self.device)
        positions = torch.zeros_like(tokens)
        tokens[: n * steps] = torch.tensor(prompt, device=self.device).repeat(n)
        positions[: n * steps] = torch.arange(steps, device=self.device).repeat(n)
        kept = []
        x = self.embed(tokens, positions)
        causal = torch.full((steps, steps), float("-inf"), device=self.device, dtype=self.words.dtype).triu(1)
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(x)[: n * steps].view(n, steps, 3, self.shape.heads, self.head)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each n x heads x steps x head width
            kept.append(torch.stack([k, v]))
            mixed = torch.zeros_like(x)
            # one image at a time, always the same shape
            for i in range(n):
                heads = attend(q[i], k[i], v[i], causal)
                mixed[i * steps : (i + 1) * steps] = heads.transpose(0, 1).reshape(steps, -1)
            x = layer.self_norm(layer.self_out(mixed, residual=x))
            q = layer.cross_q(x)
            mixed = torch.zeros_like(x)
            for i, entry in enumerate(entries):
                own = slice(i * steps, (i + 1) * steps)
                mixed[own] = self.cross_cache.attend(number, entry, q[own])
            x = layer.cross_norm(layer.cross_out(mixed, residual=x))
            x = layer.norm(layer.mlp(x, residual=x))
        return self._project(x)[steps - 1 : n * steps : steps].clone(), torch.stack(kept)

    def step(
        self,
        tokens: Tensor,
        positions: Tensor,
        rows_of_images: Tensor,
        row_in_images: Tensor,
        live: list[int],
    ) -> Tensor:
        """Logits of the next token of every row, given one more token each.

        Args:
            tokens: rows, the newest token of each.
            positions: rows, its index in the caption.
            rows_of_images: images x samples, the rows that caption each image; `rows` where there is none.
            row_in_images: rows, index of each row among rows_of_images.flatten() (any, for an unused row).
            live: entries of the images that have at least one row.

        Returns:
            rows x vocabulary float32; unused rows hold numbers without meaning.
        """
        future = torch.arange(self.max_length, device=self.device) > positions[:, None]
        mask = torch.zeros(future.shape, device=self.device, dtype=self.words.dtype)
        mask = mask.masked_fill_(future, float("-inf"))[:, None].expand(-1, self.shape.heads, -1)
        mask = mask.reshape(-1, 1, self.max_length)  # rows*heads x 1 x max_length
        # where an image has no row, any row is computed again and its result left unread
        query_rows = rows_of_images.clamp(max=self.rows - 1)
        newest = (self.cache_starts + positions[:, None, None]).flatten()
        x = self.embed(tokens, positions)
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(x).view(self.rows, 3, self.shape.heads, self.head)
            cache = self.self_cache[number]
            cache.view(-1, self.head).index_copy_(0, newest, qkv[:, 1:].reshape(-1, self.head))
            keys, values = cache.flatten(1, 2)  # each rows*heads x max_length x head width
            q = qkv[:, 0].reshape(-1, 1, self.head)
            mixed = attend(q, keys, values, mask)  # rows*heads x 1 x head width
            x = layer.self_norm(layer.self_out(mixed.view(x.shape), residual=x))
            queries = layer.cross_q(x)[query_rows]  # images x samples x width
            mixed = self.cross_cache.attend_all(number, queries, live).flatten(0, 1)[row_in_images]
            x = layer.cross_norm(layer.cross_out(mixed, residual=x))
            x = layer.norm(layer.mlp(x, residual=x))
        return self._project(x)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Token ids and their places, both rows, to rows x width."""
        return self.first_norm(self.words[tokens] + self.positions[positions])

    def _project(self, x: Tensor) -> Tensor:
        hidden = self.transform_norm(ACT2FN[self.shape.act](self.transform(x)))
        logits, bias = self.product_with_vocabulary(hidden)
        return logits if bias is None else logits.add_(bias)

    def product_with_vocabulary(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits rows x vocabulary float32, and a bias that is still to be added, or None. On a GPU they are
        the product's own float32 sums: rounded to bfloat16, many would be equal."""
        if self.vocabulary_bias is None:
            return self.vocabulary(hidden).float(), None
        return torch.mm(hidden, self.vocabulary.weight.t(), out_dtype=torch.float32), self.vocabulary_bias


def _build_layer(weights: Weights, prefix: str, act: str) -> _Layer:
    own, cross = prefix + "attention.", prefix + "crossattention."
    return _Layer(
        qkv=weights.linear(own + "self.query", own + "self.key", own + "self.value"),
        self_out=weights.linear(own + "output.dense"),
        self_norm=weights.norm(own + "output.LayerNorm"),
        cross_q=weights.linear(cross + "self.query"),
        cross_out=weights.linear(cross + "output.dense"),
        cross_norm=weights.norm(cross + "output.LayerNorm"),
        mlp=Mlp(weights.linear(prefix + "intermediate.dense"), weights.linear(prefix + "output.dense"), act),
        norm=weights.norm(prefix + "output.LayerNorm"),
    )

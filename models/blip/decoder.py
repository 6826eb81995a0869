"""BLIP's text decoder for a fixed tile of rows, each row one caption in the making.

Every product runs over exactly `rows` rows, dead ones included, so that a row's bits do not depend on which
captions happen to share the tile. The image's keys and values exist once per image, however many captions
look at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.activations import ACT2FN

from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.linear import Linear
from relforge.models.blip.mlp import Mlp
from relforge.models.blip.norm import Norm
from relforge.models.blip.seen import attend, seen_images
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
    """The decoder's weights, its self-attention cache and the images' cross-attention keys and values.

    Args:
        state: tensors under transformers' names.
        rows: captions decoded together (the tile).
        length: most tokens of a caption, prompt included: the static size of the self-attention cache.
        images: how many images' keys and values are held at once.
        samples: rows per image in cross-attention; fixed, so that an image's products always have one shape.
        how: where it runs, and what computes its products.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        shape: BlipShape,
        rows: int,
        length: int,
        images: int,
        samples: int,
        how: Arithmetic,
    ) -> None:
        text = shape.text
        self.shape, self.rows, self.length, self.images, self.samples = text, rows, length, images, samples
        self.device = device = how.device
        self.head = text.width // text.heads
        take = Weights(state, how, rows, text.eps)
        self.words = take.tensor("text_decoder.bert.embeddings.word_embeddings.weight")
        self.positions = take.tensor("text_decoder.bert.embeddings.position_embeddings.weight")
        self.first_norm = take.norm("text_decoder.bert.embeddings.LayerNorm")
        names = [f"text_decoder.bert.encoder.layer.{n}." for n in range(text.depth)]
        self.layers = [_layer(take, name, text.act) for name in names]
        self.transform = take.linear("text_decoder.cls.predictions.transform.dense")
        self.transform_norm = take.norm("text_decoder.cls.predictions.transform.LayerNorm")
        vocabulary = take.tensor("text_decoder.cls.predictions.decoder.weight")
        bias = take.tensor("text_decoder.cls.predictions.bias")
        self.vocabulary = Linear(vocabulary, bias, rows, how.amx)
        tokens = shape.vision.tokens
        # a layer's image keys and values in one product over one image
        self.cross_kv = [
            take.linear(
                f"text_decoder.bert.encoder.layer.{n}.crossattention.self.key",
                f"text_decoder.bert.encoder.layer.{n}.crossattention.self.value",
                rows=tokens,
            )
            for n in range(text.depth)
        ]
        # depth x {key, value} x rows x heads x length x head width
        cache = (text.depth, 2, rows, text.heads, length, self.head)
        self.cache = torch.zeros(cache, device=device, dtype=how.dtype)
        # rows x {key, value} x heads: first row of a caption's own cache, as `step` finds them in a layer's
        pair, row, head = (torch.arange(n, device=device) for n in (2, rows, text.heads))
        self.places = (((pair[:, None] * rows + row[:, None, None]) * text.heads) + head) * length
        self.seen = seen_images(how, text.depth, images, tokens, text.heads, self.head)

    def look(self, slot: int, tokens: Tensor) -> None:
        """Keep the keys and values of one image, for all its captions, in `slot`.

        Args:
            tokens: image tokens x vision width.
        """
        for layer, project in enumerate(self.cross_kv):
            self.seen.put(layer, slot, project(tokens))

    def prefill(self, slots: list[int], prompt: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Run the prompt once per image.

        Args:
            slots: images, at most `rows // len(prompt)`.
            prompt: token ids, `[DEC]` first.

        Returns:
            logits after the prompt: len(slots) x vocabulary, float32; and its self-attention cache, to be
            copied to each of the image's rows: depth x 2 x len(slots) x heads x len(prompt) x head width.
        """
        n, steps = len(slots), len(prompt)
        tokens = torch.zeros(self.rows, dtype=torch.long, device=self.device)
        positions = torch.zeros_like(tokens)
        tokens[: n * steps] = torch.tensor(prompt, device=self.device).repeat(n)
        positions[: n * steps] = torch.arange(steps, device=self.device).repeat(n)
        kept = []
        x = self._embed(tokens, positions)
        causal = torch.full((steps, steps), float("-inf"), device=self.device, dtype=self.words.dtype).triu(1)
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(x)[: n * steps].view(n, steps, 3, self.shape.heads, self.head)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each n x heads x steps x head width
            kept.append(torch.stack([k, v]))
            mixed = torch.zeros_like(x)
            # one image at a time, always the same shape
            for i in range(n):
                seen = attend(q[i], k[i], v[i], causal)
                mixed[i * steps : (i + 1) * steps] = seen.transpose(0, 1).reshape(steps, -1)
            x = layer.self_norm(layer.self_out(mixed, residual=x))
            q = layer.cross_q(x)
            mixed = torch.zeros_like(x)
            for i, slot in enumerate(slots):
                own = slice(i * steps, (i + 1) * steps)
                mixed[own] = self.seen.look(number, slot, q[own])
            x = layer.cross_norm(layer.cross_out(mixed, residual=x))
            x = layer.norm(layer.mlp(x, residual=x))
        return self._logits(x)[steps - 1 : n * steps : steps].clone(), torch.stack(kept)

    def step(
        self, tokens: Tensor, positions: Tensor, members: Tensor, home: Tensor, live: list[int]
    ) -> Tensor:
        """Logits of the next token of every row, after taking in one token each.

        Args:
            tokens: rows, the newest token of each.
            positions: rows, its index in the caption.
            members: images x samples, the rows that describe each image; `rows` where there is none.
            home: rows, index into members.flatten() of each row (any, for a dead row).
            live: image slots with at least one live row.

        Returns:
            rows x vocabulary float32; dead rows hold numbers without meaning.
        """
        unseen = torch.arange(self.length, device=self.device) > positions[:, None]
        hide = torch.zeros(unseen.shape, device=self.device, dtype=self.words.dtype)
        hide = hide.masked_fill_(unseen, float("-inf"))[:, None].expand(-1, self.shape.heads, -1)
        hide = hide.reshape(-1, 1, self.length)  # rows*heads x 1 x length
        askers = members.clamp(max=self.rows - 1)  # where there is none, any: nobody reads the answer
        newest = (self.places + positions[:, None, None]).flatten()
        x = self._embed(tokens, positions)
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(x).view(self.rows, 3, self.shape.heads, self.head)
            self.cache[number].view(-1, self.head).index_copy_(0, newest, qkv[:, 1:].reshape(-1, self.head))
            keys, values = self.cache[number].flatten(1, 2)  # each rows*heads x length x head width
            q = qkv[:, 0].reshape(-1, 1, self.head)
            mixed = attend(q, keys, values, hide)  # rows*heads x 1 x head width
            x = layer.self_norm(layer.self_out(mixed.view(x.shape), residual=x))
            queries = layer.cross_q(x)[askers]  # images x samples x width
            mixed = self.seen.look_all(number, queries, live).flatten(0, 1)[home]
            x = layer.cross_norm(layer.cross_out(mixed, residual=x))
            x = layer.norm(layer.mlp(x, residual=x))
        return self._logits(x)

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return self.first_norm(self.words[tokens] + self.positions[positions])

    def _logits(self, x: Tensor) -> Tensor:
        hidden = self.transform_norm(ACT2FN[self.shape.act](self.transform(x)))
        return self.vocabulary(hidden).float()


def _layer(take: Weights, prefix: str, act: str) -> _Layer:
    own, cross = prefix + "attention.", prefix + "crossattention."
    return _Layer(
        qkv=take.linear(own + "self.query", own + "self.key", own + "self.value"),
        self_out=take.linear(own + "output.dense"),
        self_norm=take.norm(own + "output.LayerNorm"),
        cross_q=take.linear(cross + "self.query"),
        cross_out=take.linear(cross + "output.dense"),
        cross_norm=take.norm(cross + "output.LayerNorm"),
        mlp=Mlp(take.linear(prefix + "intermediate.dense"), take.linear(prefix + "output.dense"), act),
        norm=take.norm(prefix + "output.LayerNorm"),
    )

"""Texts through a BERT-like encoder without padding: one row of tokens, and attention within each text.

Label lists are short texts of unequal lengths: padded to the longest, most of a batch is padding. Here the
linear layers see the tokens alone, texts of equal length attend together, and of the last layer only the
token that is pooled is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertModel, RobertaModel, XLMRobertaModel

from relforge.models.blocks.memory_saving import dropout, recompute
from relforge.models.gpu import upload

_KINDS = (BertModel, RobertaModel, XLMRobertaModel)


@dataclass(frozen=True)
class _Group:
    """Texts of equal length, whose tokens lie next to each other: `texts` x `length` from `start` on."""

    start: int
    texts: int
    length: int

    @property
    def stop(self) -> int:
        """Behind the last token."""
        return self.start + self.texts * self.length

    def of(self, tokens: Tensor) -> Tensor:
        """The group's part of tokens x ..., texts x length x ..."""
        return tokens[self.start : self.stop].unflatten(0, (self.texts, self.length))


def can_encode_flat(model: nn.Module) -> bool:
    """Whether `encode_flat` computes what this encoder does: BERT, RoBERTa and XLM-RoBERTa with a pooler."""
    return isinstance(model, _KINDS) and model.pooler is not None and not model.config.is_decoder


def encode_flat(model: nn.Module, rows: Sequence[Sequence[int]]) -> Tensor:
    """The pooler's vectors, N x width, of N texts.

    The same as the encoder's own on padded rows, but for rounding (and for the places of dropout).

    Args:
        model: see `can_encode_flat`.
        rows: token ids of each text, at least one.
    """
    if not rows:
        return next(model.parameters()).new_zeros(0, model.config.hidden_size)
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda text: len(rows[text]))
    groups: list[_Group] = []
    for text in order:
        start, length = groups[-1].stop if groups else 0, len(rows[text])
        if groups and groups[-1].length == length:
            groups[-1] = _Group(groups[-1].start, groups[-1].texts + 1, length)
        else:
            groups.append(_Group(start, 1, length))
    lengths = torch.tensor([len(rows[text]) for text in order])
    ids, first, back = upload(
        device,
        torch.tensor([token for text in order for token in rows[text]]),  # tokens of all texts
        lengths.cumsum(0) - lengths,  # of each text's tokens
        torch.tensor(order).argsort(),
    )
    states = torch.cat([model.embeddings(input_ids=group.of(ids)).flatten(0, 1) for group in groups])
    *layers, last = model.encoder.layer
    for layer in layers:
        states = _layer(layer, states, states, groups)
    pooled = model.pooler(_layer(last, states[first], states, groups)[:, None])
    return pooled[back]


def _layer(layer: nn.Module, queries: Tensor, states: Tensor, groups: list[_Group]) -> Tensor:
    """One layer of the encoder.

    Args:
        queries: what is computed: all tokens, or one of each text, x width.
        states: all tokens x width.
    """
    attention = layer.attention.self
    heads = (-1, attention.attention_head_size)
    query = attention.query(queries).unflatten(-1, heads)  # queries x heads x width / heads
    key, value = (part(states).unflatten(-1, heads) for part in (attention.key, attention.value))
    p = attention.dropout.p if attention.training else 0.0
    whole = len(queries) == len(states)
    mixed, text = [], 0
    for group in groups:
        own = group.of(query) if whole else query[text : text + group.texts, None]
        attended = F.scaled_dot_product_attention(
            own.transpose(1, 2),
            group.of(key).transpose(1, 2),
            group.of(value).transpose(1, 2),
            dropout_p=p,
        )  # texts x heads x (length, or 1) x width / heads
        mixed.append(attended.transpose(1, 2).flatten(0, 1).flatten(1))
        text += group.texts
    found = _add(layer.attention.output, layer.attention.output.dense(torch.cat(mixed)), queries)
    act = layer.intermediate.intermediate_act_fn
    # the activation is as wide as four texts' states: it is not kept for the backward pass
    return _add(
        layer.output, recompute(lambda x: layer.output.dense(act(x)), layer.intermediate.dense(found)), found
    )


def _add(output: nn.Module, states: Tensor, residual: Tensor) -> Tensor:
    """The end of either half of a layer: dropout, residual, norm."""
    p = output.dropout.p if output.training else 0.0
    return output.LayerNorm(dropout(states, p) + residual)

"""One vector per label: any Hugging Face encoder, pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from relforge.models.blocks.flat_text import can_encode_flat, encode_flat
from relforge.models.blocks.prediction import Labels

NO_OBJECTS = "no objects"
"""The last object label of every open label list: the class of a query that matches nothing."""

Tokenize = Callable[[str], Sequence[int]]
"""A label to its token ids, special tokens included."""


class TextEncoder(nn.Module):
    """Encodes each label as a sentence of its own.

    Args:
        model: a Hugging Face encoder. Its pooler output is the label's vector (RoBERTa: tanh of a
            dense layer on `<s>`); an encoder without pooler gives the mean of its token states.
        tokenize: label -> token ids; asked once for each label.
        pad: the id that fills short rows.
        max_tokens: labels with more tokens than this are refused; the encoder's position table ends there.
    """

    def __init__(self, model: nn.Module, tokenize: Tokenize, *, pad: int = 1, max_tokens: int = 64) -> None:
        super().__init__()
        self.model = model
        self.tokenize = cache(tokenize)
        self.pad = pad
        self.max_tokens = max_tokens

    @property
    def width(self) -> int:
        """Width of a label's vector (768 for roberta-base)."""
        return int(self.model.config.hidden_size)

    def token_ids(self, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and attention mask (True = a token), both N x (tokens of the longest label).

        Raises:
            ValueError: a label is longer than `max_tokens`.
        """
        rows = self._rows(labels)
        length = max((len(row) for row in rows), default=0)
        device = next(self.model.parameters()).device
        ids = torch.full((len(rows), length), self.pad, dtype=torch.long, device=device)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(list(row), device=device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        return ids, torch.arange(length, device=device) < lengths[:, None]

    def forward(self, ids: Tensor, attention: Tensor) -> Tensor:
        """Vectors N x width of token ids N x T."""
        out = self.model(input_ids=ids, attention_mask=attention.to(ids.dtype))
        pooled = getattr(out, "pooler_output", None)
        if pooled is not None:
            return pooled
        weight = attention[..., None].to(out.last_hidden_state.dtype)
        return (out.last_hidden_state * weight).sum(1) / weight.sum(1)

    def encode(self, labels: Sequence[str]) -> Tensor:
        """Vectors N x width of labels. In training they are computed without padding, where the encoder is
        one that `encode_flat` knows."""
        if self.training and can_encode_flat(self.model):
            return encode_flat(self.model, self._rows(labels))
        return self(*self.token_ids(labels))

    def _rows(self, labels: Sequence[str]) -> list[Sequence[int]]:
        """Token ids of each label."""
        rows = [self.tokenize(label) for label in labels]
        for label, row in zip(labels, rows, strict=True):
            if len(row) > self.max_tokens:
                raise ValueError(
                    f"label {label[:60]!r} has {len(row)} tokens; the maximum is {self.max_tokens}"
                )
        return rows

    def encode_labels(self, labels: Labels) -> Labels:
        """The labels with their vectors; those that have them already stay as they are."""
        if labels.features is not None:
            return labels
        return Labels(labels.objects, labels.relations, self.encode([*labels.objects, *labels.relations]))

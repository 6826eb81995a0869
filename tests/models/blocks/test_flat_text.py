"""Texts without padding: the same vectors and gradients as padded, fewer tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from relforge.models.blocks.flat_text import can_encode_flat, encode_flat
from relforge.models.blocks.text import TextEncoder

LABELS = ["a", "riding on top of", "in front", "b", "standing next to a", "with", "to the left of"]
TINY = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
TINY |= {"intermediate_size": 48, "max_position_embeddings": 40}


def tokenize(label: str) -> list[int]:
    return [2, *(5 + ord(letter) % 59 for letter in label.replace(" ", "")), 3]


def encoder(kind: str, **options: Any) -> TextEncoder:
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **TINY, **options))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return TextEncoder(model, tokenize)


def without_dropout(kind: str, **options: Any) -> TextEncoder:
    found = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return encoder(kind, **found, **options).train()


@pytest.mark.parametrize("kind", ["roberta", "bert", "xlm-roberta"])
def test_vectors_and_gradients_are_those_of_padded_rows(kind: str) -> None:
    texts = without_dropout(kind)
    weights = torch.randn(len(LABELS), 32, generator=torch.Generator().manual_seed(1))
    found = []
    for vectors in (texts.encode(LABELS), texts(*texts.token_ids(LABELS))):
        texts.zero_grad()
        (vectors * weights).sum().backward()
        gradients = {name: p.grad.clone() for name, p in texts.named_parameters() if p.grad is not None}
        found.append((vectors.detach(), gradients))
    (flat, of_flat), (padded, of_padded) = found
    torch.testing.assert_close(flat, padded, rtol=0, atol=1e-5)
    assert of_flat.keys() == of_padded.keys()
    for name, gradient in of_padded.items():
        torch.testing.assert_close(of_flat[name], gradient, rtol=1e-4, atol=1e-4)


def test_training_computes_no_padding_and_one_token_of_the_last_layer() -> None:
    texts = encoder("roberta").train()
    rows: list[tuple[str, int]] = []
    for name, module in texts.model.named_modules():
        if name.endswith("intermediate.dense"):
            module.register_forward_hook(lambda _, given, __, at=name: rows.append((at, given[0].shape[0])))
    texts.encode(LABELS)
    tokens = sum(len(tokenize(label)) for label in LABELS)
    assert [count for _, count in rows] == [tokens, tokens, len(LABELS)]


def test_dropout_is_that_of_the_encoder() -> None:
    texts = encoder("roberta", hidden_dropout_prob=0.5).train()
    torch.manual_seed(0)
    first = texts.encode(LABELS)
    assert not torch.equal(texts.encode(LABELS), first)
    torch.manual_seed(0)
    assert torch.equal(texts.encode(LABELS), first)


def test_evaluation_computes_the_bits_of_padded_rows() -> None:
    texts = encoder("roberta").eval()
    assert torch.equal(texts.encode(LABELS), texts(*texts.token_ids(LABELS)))


def test_an_encoder_without_a_pooler_is_padded() -> None:
    texts = encoder("distilbert", dim=32, n_heads=4, n_layers=2, hidden_dim=48)
    assert not can_encode_flat(texts.model)
    assert texts.train().encode(LABELS).shape == (len(LABELS), 32)


def test_no_texts_have_no_vectors() -> None:
    assert encode_flat(encoder("roberta").model, []).shape == (0, 32)


def test_labels_are_tokenized_once_and_those_too_long_are_refused() -> None:
    calls: list[str] = []

    def count(label: str) -> list[int]:
        calls.append(label)
        return tokenize(label)

    texts = TextEncoder(encoder("roberta").model, count, max_tokens=12).train()
    for _ in range(2):
        texts.encode(["a", "b"])
    assert calls == ["a", "b"]
    with pytest.raises(ValueError, match="'to the left of' has 13 tokens; the maximum is 12"):
        texts.encode(["to the left of"])

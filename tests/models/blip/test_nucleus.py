"""Tokens are drawn from transformers' own distribution, whatever the order of their coming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from transformers import BlipForConditionalGeneration
from transformers.generation import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from relforge.images.resize import normalise
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import load
from relforge.models.blip.nucleus import choose_tokens
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.uniform import derive_random_key

SETTINGS = [
    Nucleus(),
    Nucleus(top_k=0),
    Nucleus(top_p=0.5, top_k=8, temperature=1.7, repetition_penalty=2.0),
    Nucleus(top_p=1.0, top_k=0, repetition_penalty=1.0),
]


def theirs(history: torch.Tensor, logits: torch.Tensor, settings: Nucleus) -> torch.Tensor:
    """transformers' probabilities of the next token, rows x vocabulary."""
    chain = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        chain.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    chain.append(MinLengthLogitsProcessor(settings.min_length, 3))
    chain.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        chain.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        chain.append(TopPLogitsWarper(settings.top_p))
    return chain(history, logits.clone()).softmax(-1)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("length", [4, 7])
def test_evenly_spread_numbers_draw_each_token_as_often_as_transformers_would(
    settings: Nucleus, length: int
) -> None:
    generator = torch.Generator().manual_seed(length)
    logits = 3 * torch.randn(1, 60, generator=generator)
    history = torch.randint(0, 60, (1, length), generator=generator)
    draws = 20000
    even = (torch.arange(draws) + 0.5).double() / draws
    tokens, logprob = choose_tokens(
        logits.expand(draws, -1), history.expand(draws, -1), torch.full((draws,), length), even, 3, settings
    )
    share = torch.bincount(tokens, minlength=60) / draws
    assert (share - theirs(history, logits, settings)[0]).abs().max() < 2 / draws + 1e-6
    assert torch.allclose(logprob, logits.double().log_softmax(1)[0, tokens], atol=1e-5)


def test_only_the_rows_own_tokens_are_made_less_likely() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0, 0.5]]).repeat(2, 1)
    history = torch.tensor([[1, 0, 0], [1, 2, 3]])  # the first row has one token; the rest is left-over
    from relforge.models.blip.nucleus import penalise

    out = penalise(logits, history, torch.tensor([1, 3]), 2.0)
    assert out.tolist() == [[1.0, 1.0, -1.0, 0.5], [1.0, 1.0, -2.0, 0.25]]


@torch.no_grad()
def test_captions_are_distributed_as_generate_draws_them(
    folder: Path, model: BlipForConditionalGeneration, pixels: Callable[[int], torch.Tensor]
) -> None:
    """1,500 captions of one image, ours against generate(do_sample=True, top_p=0.9): the first three tokens
    and the length. One fixed seed each, so the outcome is always the same."""
    draws = 1500
    captioner = BlipCaptioner(load(str(folder)), Nucleus(), 10, torch.device("cpu"), rows=64)
    prompt = captioner.checkpoint.prompt
    stream = captioner.encode_stream(
        (str(n), derive_random_key(0, str(n)), pixels(0)) for n in range(draws // 10)
    )
    ours = [caption.ids for _, captions in captioner.strategy.run(stream) for caption in captions]
    torch.manual_seed(0)
    ready = normalise(pixels(0)[None], captioner.checkpoint.mean, captioner.checkpoint.std)
    options = asdict(SETTINGS[0])
    out = model.generate(
        pixel_values=ready,
        input_ids=torch.tensor([[2, *prompt[1:], 3]]),
        do_sample=True,
        num_return_sequences=draws,
        **options,
    )
    peer = []
    for row in out[:, len(prompt) :].tolist():
        peer.append(row[: row.index(3)] if 3 in row else row)
    assert len(ours) == len(peer) == draws

    for feature in (
        lambda ids: ids[0] if ids else -1,
        lambda ids: ids[1] if len(ids) > 1 else -1,
        lambda ids: ids[2] if len(ids) > 2 else -1,
        len,
    ):
        a, b = Counter(map(feature, ours)), Counter(map(feature, peer))
        common = [value for value in a | b if a[value] + b[value] >= 20]
        table = [[c[value] for value in common] + [draws - sum(c[value] for value in common)] for c in (a, b)]
        table = [
            [x for x, y in zip(row, map(sum, zip(*table, strict=True)), strict=True) if y] for row in table
        ]
        assert len(common) > 3
        assert chi2_contingency(table).pvalue > 0.001


def test_first_tokens_have_exactly_the_stated_probabilities(
    folder: Path, pixels: Callable[[int], torch.Tensor]
) -> None:
    captioner = BlipCaptioner(load(str(folder)), Nucleus(), 10, torch.device("cpu"), rows=64)
    prompt = captioner.checkpoint.prompt
    captioner.decoder.write_image(0, captioner.encode(pixels(0)[None])[0])
    logits, _ = captioner.decoder.prefill([0], prompt)
    expected = theirs(torch.tensor([prompt]), logits, SETTINGS[0])[0].double()
    stream = captioner.encode_stream((str(n), derive_random_key(1, str(n)), pixels(0)) for n in range(150))
    found = Counter(c.ids[0] for _, captions in captioner.strategy.run(stream) for c in captions)
    support = expected.nonzero().flatten().tolist()
    assert set(found) <= set(support)
    counts = [found[token] for token in support]
    assert chisquare(counts, 1500 * (expected[support] / expected[support].sum()).numpy()).pvalue > 0.001


@pytest.mark.parametrize(
    ("options", "word"),
    [({"top_p": 0.0}, "top_p"), ({"temperature": 0}, "temperature"), ({"max_length": 3}, "max_length")],
)
def test_impossible_settings_are_refused_by_name(options: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Nucleus(**options)  # type: ignore[arg-type]

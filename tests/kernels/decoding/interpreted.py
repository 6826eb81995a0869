"""The decoding kernels agree with PyTorch under Triton's interpreter.

The interpreter must be on before Triton is imported: `tests/models/blip/test_gpu_sampler.py` does so.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.kernels.decoding import operators, state
from relforge.models.blip.nucleus import choose_tokens
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.uniform import draw_uniform

OPS = torch.ops.relforge
ROWS, MAX_LENGTH, EOS = 16, 12, 3


def rows_of(seed: int, rows: int = ROWS) -> Tensor:
    """Captions of various lengths, all running."""
    generator = torch.Generator().manual_seed(seed)

    def integers(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=generator)

    found = state.allocate(rows, MAX_LENGTH, torch.device("cpu"))
    found[:, state.RUNNING] = 1
    found[:, state.LENGTH] = 1 + integers(MAX_LENGTH - 2, rows)
    found[:, state.KEY] = integers(1 << 62, rows) * 2 - (1 << 62)
    found[:, state.SAMPLE] = integers(10, rows)
    found[:, state.HISTORY :] = integers(60, rows, MAX_LENGTH)
    return found


@pytest.mark.parametrize(
    "settings",
    [
        Nucleus(),
        Nucleus(top_k=7, top_p=0.5, temperature=0.7, repetition_penalty=1.3),
        Nucleus(top_k=1),
        Nucleus(top_k=50, top_p=1.0, repetition_penalty=1.0, min_length=0),
    ],
)
@pytest.mark.parametrize("vocabulary", [300])
@pytest.mark.parametrize("rounded", [False, True], ids=["float32", "bfloat16 with ties"])
def test_the_same_logits_and_random_numbers_give_the_same_tokens(
    settings: Nucleus, vocabulary: int, rounded: bool
) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 3 * torch.randn(ROWS, vocabulary, generator=generator)
    if rounded:
        logits = logits.bfloat16().float()
    rows = rows_of(vocabulary)
    before = rows.clone()
    length, history = before[:, state.LENGTH].clone(), before[:, state.HISTORY :].clone()
    drawn = draw_uniform(before[:, state.KEY], before[:, state.SAMPLE], length)
    tokens, logprob = choose_tokens(logits, history, length, drawn, EOS, settings)

    choose(logits, rows, settings)

    written = rows[:, state.HISTORY :].gather(1, length[:, None])[:, 0]
    if not rounded:
        assert written.equal(tokens)
    else:  # topk on a CPU takes equal logits in any order: the token is one of equals
        equal = logits.gather(1, written[:, None]) == logits.gather(1, tokens[:, None])
        assert ((written == tokens) | equal[:, 0]).all()
        assert (written == tokens).float().mean() > 0.8
    same = written == tokens
    torch.testing.assert_close(
        rows[:, state.LOGPROB].contiguous().view(torch.float64)[same], logprob[same], atol=2e-6, rtol=1e-6
    )
    assert rows[:, state.LENGTH].equal(length + 1)
    ended = (written == EOS) | (length + 1 == MAX_LENGTH)
    assert rows[:, state.RUNNING].equal((~ended).long())
    untouched = torch.ones_like(rows, dtype=torch.bool)
    untouched[:, [state.RUNNING, state.LENGTH, state.LOGPROB]] = False
    untouched[:, state.HISTORY :].scatter_(1, length[:, None], False)
    assert rows[untouched].equal(before[untouched])


def choose(
    logits: Tensor, rows: Tensor, settings: Nucleus, bias: Tensor | None = None, source: Tensor | None = None
) -> None:
    OPS.decoder_choose(
        logits, bias, rows, source, torch.tensor([settings.top_p], dtype=torch.float64), settings.top_k, EOS,
        settings.min_length, settings.temperature, settings.repetition_penalty,
    )  # fmt: skip


def test_bias_and_shared_logits_are_those_of_the_row() -> None:
    generator = torch.Generator().manual_seed(1)
    logits, bias = torch.randn(5, 100, generator=generator), torch.randn(100, generator=generator)
    source = torch.randint(0, 5, (ROWS,), generator=generator)
    one, other = rows_of(3), rows_of(3)
    choose(logits, one, Nucleus(), bias, source)
    choose((logits + bias)[source], other, Nucleus())
    assert one.equal(other)


def test_a_row_that_has_ended_stays_as_it_is() -> None:
    rows = rows_of(5)
    rows[::2, state.RUNNING] = 0
    before = rows.clone()
    choose(torch.full((ROWS, 50), float("nan")).index_fill(0, torch.arange(1, ROWS, 2), 0.0), rows, Nucleus())
    assert rows[::2].equal(before[::2])
    assert (rows[1::2, state.LENGTH] == before[1::2, state.LENGTH] + 1).all()


def test_the_choice_depends_on_nothing_but_its_row() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(ROWS, 200, generator=generator)
    rows = rows_of(7)
    together = rows.clone()
    choose(logits, together, Nucleus())
    shuffled = torch.randperm(ROWS, generator=generator)
    other = rows[shuffled].clone()
    choose(logits[shuffled].contiguous(), other, Nucleus())
    assert other.equal(together[shuffled])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_norms_agree(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x, residual = (torch.randn(9, 48, generator=generator).to(dtype) for _ in range(2))
    weight, bias = (torch.randn(48, generator=generator).to(dtype) for _ in range(2))
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 2e-2, "rtol": 2e-2}
    expected = F.layer_norm(x + residual, (48,), weight, bias, 1e-12)
    torch.testing.assert_close(
        OPS.decoder_add_norm(x, residual, weight, bias, 1e-12, False), expected, **tolerance
    )
    expected = F.layer_norm(F.gelu(x), (48,), weight, bias, 1e-12)
    torch.testing.assert_close(
        OPS.decoder_add_norm(x, None, weight, bias, 1e-12, True), expected, **tolerance
    )

    rows, words, positions = (
        rows_of(0, 9),
        torch.randn(60, 48).to(dtype),
        torch.randn(MAX_LENGTH, 48).to(dtype),
    )
    place = rows[:, state.LENGTH] - 1
    newest = rows[:, state.HISTORY :].gather(1, place[:, None])[:, 0]
    expected = F.layer_norm(words[newest] + positions[place], (48,), weight, bias, 1e-12)
    found = OPS.decoder_embed(rows, words, positions, weight, bias, 1e-12)
    torch.testing.assert_close(found, expected, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_self_attention_agrees_and_writes_the_cache(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, heads, head = 6, 3, 10
    qkv = torch.randn(rows, 3 * heads * head, generator=generator).to(dtype)
    cache = torch.randn(2, rows, heads, MAX_LENGTH, head, generator=generator).to(dtype)
    state_rows, expected = rows_of(1, rows), cache.clone()
    position = state_rows[:, state.LENGTH] - 1
    q, k, v = qkv.view(rows, 3, heads, head).unbind(1)
    for row in range(rows):
        expected[0, row, :, position[row]], expected[1, row, :, position[row]] = k[row], v[row]
    mask = torch.arange(MAX_LENGTH) <= position[:, None]
    mixed = F.scaled_dot_product_attention(
        q[:, :, None], expected[0], expected[1], attn_mask=mask[:, None, None]
    )

    found = OPS.decoder_self_attention(qkv, cache, state_rows)

    assert cache.equal(expected)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found, mixed[:, :, 0].flatten(1), atol=tolerance, rtol=tolerance)


# the interpreter has no products of bfloat16
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_cross_attention_agrees_and_skips_images_without_rows(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, images, heads, tokens, head = 7, 4, 2, 70, 12
    queries = torch.randn(rows, heads * head, generator=generator).to(dtype)
    cache = torch.randn(2, images, heads, tokens, head, generator=generator).to(dtype)
    cache[:, 2] = float("nan")  # of an image without rows
    table = torch.tensor([[4, 0, 7], [7, 7, 6], [7, 7, 7], [1, 2, 3]])
    found = OPS.decoder_cross_attention(queries, cache, table)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for image, own in enumerate(table.tolist()):
        for row in own:
            if row < rows:
                q = queries[row].view(heads, 1, head)
                mixed = F.scaled_dot_product_attention(q, cache[0, image], cache[1, image])
                torch.testing.assert_close(found[row], mixed.flatten(), atol=tolerance, rtol=tolerance)


def test_the_kernels_run_here() -> None:
    assert operators.why_not("cpu", torch.float32) is None

"""Choosing the next token: repetition penalty, minimum length, temperature, top-k, nucleus.

In the order, and with the edge cases, of transformers' `generate(do_sample=True)`; Holtzman et al. (2020)
for the nucleus, Keskar et al. (2019) for the penalty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relforge.models.blip.settings import Nucleus


def choose_tokens(
    logits: Tensor,
    history: Tensor,
    length: Tensor,
    uniforms: Tensor,
    eos: int,
    settings: Nucleus,
    logits_buffer: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One token per row, by inverting the cumulative distribution at the row's uniform number.

    Args:
        logits: rows x vocabulary float32.
        history: rows x anything, token ids so far; only the first `length` of each row count.
        length: rows, int64.
        uniforms: rows, in (0, 1), float64.
        eos: the token that ends a caption.
        logits_buffer: memory like `logits` to work in, kept between calls: allocating it takes longer than
            the arithmetic.

    Returns:
        tokens (rows, int64) and their log-probabilities under the model itself, before penalty, temperature
        and truncation (rows, float64, natural logarithm).
    """
    scores = penalise(logits, history, length, settings.repetition_penalty, logits_buffer)
    too_short = length < settings.min_length
    scores[:, eos] = scores[:, eos].masked_fill(too_short, float("-inf"))
    scores.div_(settings.temperature)
    k = min(settings.top_k or scores.shape[1], scores.shape[1])
    best, tokens = scores.topk(k, dim=1)  # rows x k, likeliest first
    probabilities = best.double().softmax(1)
    cumulative = probabilities.cumsum(1)
    # a token stays if those likelier than it have not reached top_p yet
    probabilities.masked_fill_(cumulative - probabilities >= settings.top_p, 0.0)
    cumulative = probabilities.cumsum(1)
    rank = (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(1, keepdim=True)
    # rounding may push the last draw one past the kept tokens
    rank = torch.minimum(rank, (probabilities > 0).sum(1, keepdim=True) - 1)
    chosen = tokens.gather(1, rank)
    logprob = logits.gather(1, chosen).double().squeeze(1) - _log_sum_exp(logits, scores).double()
    return chosen.squeeze(1), logprob


def penalise(
    logits: Tensor, history: Tensor, length: Tensor, penalty: float, logits_buffer: Tensor | None = None
) -> Tensor:
    """A copy of the logits, in `logits_buffer` if given, with every token of the row's history made less
    likely, once each."""
    scores = logits.clone() if logits_buffer is None else logits_buffer.copy_(logits)
    if penalty == 1.0:
        return scores
    # positions past the end repeat the row's first token, which every caption holds anyway
    inside = torch.arange(history.shape[1], device=history.device) < length[:, None]
    present = torch.where(inside, history, history[:, :1])
    picked = logits.gather(1, present)
    return scores.scatter_(1, present, torch.where(picked < 0, picked * penalty, picked / penalty))


def _log_sum_exp(logits: Tensor, buffer: Tensor) -> Tensor:
    """`logits.logsumexp(1)`, overwriting `buffer` instead of allocating memory."""
    maximum = logits.amax(1, keepdim=True)
    return torch.sub(logits, maximum, out=buffer).exp_().sum(1).log_().add_(maximum.squeeze(1))

"""Choosing the next token: repetition penalty, minimum length, temperature, top-k, nucleus.

In the order, and with the edge cases, of transformers' `generate(do_sample=True)`; Holtzman et al. (2020)
for the nucleus, Keskar et al. (2019) for the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Nucleus:
    """Sampling settings; the defaults are those of the published RLIPv2 captions.

    Args:
        top_p: keep the likeliest tokens until their probabilities reach this.
        top_k: keep at most so many; 0 keeps all. The published runs had transformers' default of 50 active.
        temperature: divides the logits.
        repetition_penalty: divides positive and multiplies negative logits of tokens already in the caption,
            prompt included.
        min_length / max_length: tokens of a caption, prompt and `[DEC]` included, `[SEP]` too.
    """

    top_p: float = 0.9
    top_k: int = 50
    temperature: float = 1.0
    repetition_penalty: float = 1.1
    min_length: int = 5
    max_length: int = 20

    def __post_init__(self) -> None:
        checks = {
            "top_p": (0 < self.top_p <= 1, "in (0, 1]"),
            "top_k": (self.top_k >= 0, "0 (off) or more"),
            "temperature": (self.temperature > 0, "above 0"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0"),
            "max_length": (self.max_length >= max(1, self.min_length), "at least min_length"),
        }
        for name, (fine, rule) in checks.items():
            if not fine:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {rule}")


def choose(
    logits: Tensor,
    history: Tensor,
    length: Tensor,
    uniforms: Tensor,
    eos: int,
    how: Nucleus,
    room: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One token per row, by inverting the cumulative distribution at the row's uniform number.

    Args:
        logits: rows x vocabulary float32.
        history: rows x anything, token ids so far; only the first `length` of each row count.
        length: rows, int64.
        uniforms: rows, in (0, 1), float64.
        eos: the token that ends a caption.
        room: memory like `logits` to work in, for whoever calls again and again: the system needs longer to
            hand over fresh memory than the arithmetic takes.

    Returns:
        tokens (rows, int64) and their log-probabilities under the model itself, before penalty, temperature
        and truncation (rows, float64, natural logarithm).
    """
    scores = penalise(logits, history, length, how.repetition_penalty, room)
    too_short = length < how.min_length
    scores[:, eos] = scores[:, eos].masked_fill(too_short, float("-inf"))
    scores.div_(how.temperature)
    k = min(how.top_k or scores.shape[1], scores.shape[1])
    best, tokens = scores.topk(k, dim=1)  # rows x k, likeliest first
    probabilities = best.double().softmax(1)
    upto = probabilities.cumsum(1)
    # a token stays if those likelier than it have not reached top_p yet
    probabilities.masked_fill_(upto - probabilities >= how.top_p, 0.0)
    upto = probabilities.cumsum(1)
    place = (upto <= uniforms[:, None] * upto[:, -1:]).sum(1, keepdim=True)
    # rounding may push the last draw one past the kept tokens
    place = torch.minimum(place, (probabilities > 0).sum(1, keepdim=True) - 1)
    chosen = tokens.gather(1, place)
    logprob = logits.gather(1, chosen).double().squeeze(1) - _log_sum_exp(logits, scores).double()
    return chosen.squeeze(1), logprob


def penalise(
    logits: Tensor, history: Tensor, length: Tensor, penalty: float, room: Tensor | None = None
) -> Tensor:
    """A copy of the logits, in `room` if given, with every token of the row's history made less likely, once
    each."""
    scores = logits.clone() if room is None else room.copy_(logits)
    if penalty == 1.0:
        return scores
    # slots past the end repeat the row's first token, which every caption holds anyway
    inside = torch.arange(history.shape[1], device=history.device) < length[:, None]
    seen = torch.where(inside, history, history[:, :1])
    picked = logits.gather(1, seen)
    return scores.scatter_(1, seen, torch.where(picked < 0, picked * penalty, picked / penalty))


def _log_sum_exp(logits: Tensor, room: Tensor) -> Tensor:
    """`logits.logsumexp(1)`, overwriting `room` instead of asking for memory."""
    most = logits.amax(1, keepdim=True)
    return torch.sub(logits, most, out=room).exp_().sum(1).log_().add_(most.squeeze(1))

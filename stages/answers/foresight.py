"""What a stage is going to ask, before it asks: requests, tokens, cost."""

from __future__ import annotations

from dataclasses import dataclass

from relforge.vlm.budget import Price

_PATCH = 28
"""Pixels of a side that become one token, about, in models of today."""
_CHARACTERS = 4
"""Of a token of English."""


@dataclass(frozen=True)
class Foreseen:
    """An estimate; the server counts what is paid.

    Args:
        requests: that are asked for if none is kept and none is asked twice.
        input_tokens: of questions and images.
        output_tokens: at most.
        cost: at the price of the options; None where none is given.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    cost: float | None


def foresee(
    requests: int, price: Price, *, characters: int, views: int, longest: int, max_tokens: int
) -> Foreseen:
    """Tokens and cost of so many requests.

    Args:
        characters: of a question.
        views, longest: images of a request, and the longest side of one in pixels; counted as squares.
        max_tokens: of an answer.
    """
    side = -(-longest // _PATCH)
    tokens = requests * (characters // _CHARACTERS + views * side**2)
    written = requests * max_tokens
    cost = price.cost(tokens, written)
    return Foreseen(requests, tokens, written, cost or None)

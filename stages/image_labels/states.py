"""From votes to states: which interactions of an image are positive, open, or not shown, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from relforge.stages.image_labels.table import AMBIGUOUS, NEGATIVE, POSITIVE
from relforge.stages.image_labels.verbs import Implications

Pair = tuple[str, str]
NO_INTERACTION = "no interaction"
_ROUNDING = 1e-9  # two of ten captions are a share of 0.2, whatever floating point makes of it


@dataclass(frozen=True)
class Rules:
    """Args:
    positive: votes from which an interaction is shown.
    limit: positive interactions of an image, the likeliest ones; what these imply is not counted.
    min_captions: with fewer captions nothing is concluded from what they do not say.
    silence: what an interaction of a present object is that no caption mentions: `ignore` (state 0) or
        `negative` (state -1).
    """

    positive: float = 0.2
    limit: int = 10
    min_captions: int = 5
    silence: str = "ignore"

    def __post_init__(self) -> None:
        if not 0 < self.positive <= 1:
            raise ValueError(f"image_labels.positive: {self.positive} is no share of votes above 0, up to 1")
        if self.limit < 1:
            raise ValueError(f"image_labels.limit: {self.limit} keeps nothing; use 1 or more")
        if self.silence not in ("ignore", "negative"):
            raise ValueError(f"image_labels.silence: {self.silence!r}; choose ignore or negative")


@dataclass(frozen=True)
class State:
    """Args:
    state: 1, 0 or -1.
    probability: the captions' vote; of an implied interaction that of the likeliest that implies it.
    reason: why: `voted`, `implied`, `below_support`, `beyond_limit`, `would_imply`, `no_interaction`,
        `few_captions` or `silence`.
    """

    state: int
    probability: float
    reason: str


def decide(
    votes: Mapping[Pair, float],
    present: AbstractSet[str],
    of_object: Mapping[str, Sequence[Pair]],
    captions: int,
    implications: Implications,
    rules: Rules,
) -> dict[Pair, State]:
    """States of every interaction of the present objects.

    Args:
        votes: of the interactions that captions say.
        present: objects that the image shows.
        of_object: object -> its interactions.
        captions: how many the image has.
    """
    eligible = [
        pair
        for pair, share in sorted(votes.items(), key=lambda item: (-item[1], item[0]))
        if share >= rules.positive - _ROUNDING and pair[1] in present and pair[0] != NO_INTERACTION
    ]
    positive = {pair: State(POSITIVE, votes[pair], "voted") for pair in eligible[: rules.limit]}
    for pair in list(positive):
        for other in sorted(implications.closure(pair)):
            known = positive.get(other)
            if known is None or (known.reason == "implied" and known.probability < votes[pair]):
                positive[other] = State(POSITIVE, max(votes[pair], votes.get(other, 0.0)), "implied")
    beyond = set(eligible[rules.limit :])
    found: dict[Pair, State] = {}
    for object_ in sorted(present & set(of_object)):
        for pair in of_object[object_]:
            share = votes.get(pair, 0.0)
            if pair in positive:
                found[pair] = positive[pair]
            elif pair[0] == NO_INTERACTION:
                found[pair] = State(AMBIGUOUS, share, "no_interaction")
            elif share > 0:
                found[pair] = State(AMBIGUOUS, share, "beyond_limit" if pair in beyond else "below_support")
            elif implications.closure(pair) & set(positive):
                found[pair] = State(
                    AMBIGUOUS, 0.0, "would_imply"
                )  # it may well be how the positive came about
            elif captions < rules.min_captions:
                found[pair] = State(AMBIGUOUS, 0.0, "few_captions")
            else:
                state = NEGATIVE if rules.silence == "negative" else AMBIGUOUS
                found[pair] = State(state, 0.0, "silence")
    return found

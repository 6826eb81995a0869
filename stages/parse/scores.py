"""How far parsed triples agree with gold ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

Triple = tuple[str, ...]

ATTRIBUTE = "is"
"""Predicate of a triple that states an attribute; all other three-part triples are relations."""


def is_relation(triple: Triple) -> bool:
    return len(triple) == 3 and triple[1] != ATTRIBUTE


def score_sets(found: Sequence[Set[Triple]], gold: Sequence[Set[Triple]]) -> dict[str, float]:
    """Exact set match, and micro-averaged precision, recall and F1 of triples and of relations.

    A parsed graph matches when it holds exactly the gold triples (FACTUAL's measure). Shares in [0, 1].
    """
    exact = sum(set(f) == set(g) for f, g in zip(found, gold, strict=True))
    scores = {"exact": exact / max(len(gold), 1)}
    everything: Callable[[Triple], bool] = lambda triple: len(triple) == 3  # noqa: E731
    for name, wanted in (("triplet", everything), ("relation", is_relation)):
        right = parsed = true = 0
        for f, g in zip(found, gold, strict=True):
            ours, theirs = {t for t in f if wanted(t)}, {t for t in g if wanted(t)}
            right, parsed, true = right + len(ours & theirs), parsed + len(ours), true + len(theirs)
        precision, recall = right / max(parsed, 1), right / max(true, 1)
        scores |= {
            f"{name}_precision": precision,
            f"{name}_recall": recall,
            f"{name}_f1": 2 * right / max(parsed + true, 1),
        }
    return {name: round(value, 4) for name, value in scores.items()}

"""The tables of label quality that the terminal and the page both show."""

from __future__ import annotations

from typing import Any

from relforge.evaluation.label_fates import FATES

Row = tuple[object, ...]

COMPARED = ("threshold", "precision", "recall", "F1", "mAP")
PREDICATE = ("predicate", "gold", "kept", "right", "precision", "recall", "F1", "AP", "prior's AP")

_COMPARED_KEYS = ("threshold", "precision", "recall", "f1", "mean_average_precision")
_PREDICATE_KEYS = (
    *("predicate", "gold", "kept", "right", "precision", "recall", "f1"),
    *("average_precision", "prior_average_precision"),
)


def compare_choices(quality: dict[str, Any]) -> list[Row]:
    """The kept relations beside other choices from the same candidates.

    Args:
        quality: what `relforge.evaluation.label_quality.assess_labels` returns, and `chosen_by`, see
            `gather`.

    Returns:
        rows of a name and the values of `COMPARED`; None where a choice has no such value.
    """
    by_quality = quality.get("chosen_by") == "quality"
    rows = {
        "kept by the learnt quality" if by_quality else "kept relations": quality["kept"],
        "the score alone at its default" if by_quality else "at the run's threshold": quality["threshold"],
        "at the best threshold": quality["best"] | quality["scored"],
        "frequency prior at its best": quality["prior"],
        "greedy: every candidate": quality["greedy"],
    }
    return [(name, *(values.get(key) for key in _COMPARED_KEYS)) for name, values in rows.items()]


def list_predicates(quality: dict[str, Any]) -> list[Row]:
    """One row of `PREDICATE` for each predicate of the gold, the most frequent first."""
    return [tuple(row[key] for key in _PREDICATE_KEYS) for row in quality["predicates"]]


COVERAGE = ("most confident", "from", "precision")
FATE = ("gold relation", "relations", "share", "that is")


def list_coverage(reliability: dict[str, Any]) -> list[Row]:
    """Rows of `COVERAGE`: how precise the most confident tenths of the kept relations are."""
    return [(f"{one['coverage']:.0%}", one["threshold"], one["precision"]) for one in reliability["coverage"]]


def list_fates(fates: dict[str, int]) -> list[Row]:
    """Rows of `FATE`, in the order of the stages."""
    total = sum(fates.values())
    return [(fate, count, count / total, FATES[fate]) for fate, count in fates.items()]


def describe_unknown_words(quality: dict[str, Any], limit: int) -> str:
    """A sentence about kept predicates in words that the gold never uses; empty when there are none.

    Args:
        limit: predicates that are named.
    """
    unknown: dict[str, int] = quality["unknown_predicates"]
    if not unknown:
        return ""
    named = ", ".join(f"{name} {count:,}" for name, count in list(unknown.items())[:limit])
    more = " …" if len(unknown) > limit else ""
    total = sum(unknown.values())
    return f"{total:,} kept relations use words the gold never uses and count as wrong: {named}{more}"


def explain_unjudged(gold: int) -> str:
    """Why a report has no quality, without a full stop.

    Args:
        gold: how many relations of the source the run knows.
    """
    if gold:
        return f"{gold:,} gold relations, and no scores and kept relations yet to compare with them"
    return "no gold relations in this run: labels are counted and not judged"

"""Everything that `vg_sgg` reports of predicted scene graphs, with the frequency prior beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relforge.evaluation.evaluator import Measure, Row
from relforge.evaluation.overlap import Overlap
from relforge.evaluation.scene_graph_prior import FrequencyPrior
from relforge.evaluation.scene_graph_recall import (
    CUTS,
    Recall,
    best_predicates,
    constrained,
    first_ranks,
    of_annotated_pairs,
    unconstrained,
)
from relforge.evaluation.scene_graphs import SceneGraphs

GROUPS = ("head", "body", "tail")


@dataclass(frozen=True)
class Rules:
    """What published evaluators differ in.

    Args:
        overlap: of boxes.
        own_predicates: a prediction's predicate is the one it names; False: the likeliest of its scores.
        count_missing: an image without predictions counts 0; False: it is left out of every mean.
        given_boxes: boxes are those of the gold, so that A@K is defined.
    """

    overlap: Overlap
    own_predicates: bool = True
    count_missing: bool = True
    given_boxes: bool = False


@dataclass(frozen=True)
class Recalls:
    """Ranks of the annotated relations under several rankings of one set of predictions.

    Args:
        constrained: one predicate per predicted pair.
        unconstrained: all predicates of all pairs compete.
        annotated: constrained, of annotated pairs alone; None where boxes are not given.
    """

    constrained: Recall
    unconstrained: Recall
    annotated: Recall | None


def recalls(found: SceneGraphs, gold: SceneGraphs, predicates: int, rules: Rules) -> Recalls:
    """Rank predictions and find the gold in them."""
    if not rules.own_predicates:
        found = replace(found, predicates=best_predicates(found))
    counted = np.ones(len(gold.pairs), bool)
    if not rules.count_missing:
        counted = (np.diff(found.relation_start) > 0)[gold.images]
    single = constrained(found)
    rankings = [single, unconstrained(found)]
    if rules.given_boxes:
        rankings.append(of_annotated_pairs(single, gold))
    found_at = [
        Recall(
            first_ranks(ranking, found, gold, rules.overlap),
            gold.images,
            gold.predicates,
            len(gold),
            predicates,
        ).take(counted)
        for ranking in rankings
    ]
    return Recalls(found_at[0], found_at[1], found_at[2] if rules.given_boxes else None)


@dataclass(frozen=True)
class GraphQuality:
    """Results.

    Args:
        measures: name -> number with its prior.
        classes: one row per predicate.
    """

    measures: dict[str, Measure]
    classes: list[Row]


def measure_graphs(
    found: SceneGraphs,
    gold: SceneGraphs,
    prior: FrequencyPrior,
    rules: Rules,
    *,
    predicates: Sequence[str],
    groups: Sequence[str],
    training: np.ndarray | None,
    unseen: np.ndarray | None,
) -> GraphQuality:
    """Measure predictions of the images of `gold`.

    Args:
        predicates: names.
        groups: of each predicate, a name of `GROUPS`.
        training: relations of each predicate in the training set.
        unseen: mask of the annotated relations whose triplet training does not show; None: not known.
    """
    both = [recalls(graphs, gold, len(predicates), rules) for graphs in (found, prior.rank(found))]
    measures: dict[str, Measure] = {}

    def add(name: str, values: Sequence[float]) -> None:
        measures[name] = Measure(values[0], values[1])

    counted = np.ones(len(gold.pairs), bool)
    if not rules.count_missing:
        counted = (np.diff(found.relation_start) > 0)[gold.images]
    rows = None if unseen is None else np.flatnonzero(unseen[counted])
    for prefix, kind in (("", "constrained"), ("ng-", "unconstrained")):
        pair = [getattr(one, kind) for one in both]
        for cut in CUTS:
            add(f"{prefix}R@{cut}", [one.mean(cut) for one in pair])
        for cut in CUTS if rows is not None and len(rows) else ():
            add(f"{prefix}zR@{cut}", [one.take(rows).mean(cut) for one in pair])
        by_predicate = {cut: [one.per_predicate(cut) for one in pair] for cut in CUTS}
        for cut, values in by_predicate.items():
            add(f"{prefix}mR@{cut}", [float(one.mean()) for one in values])
        for group in GROUPS:
            members = np.array([name == group for name in groups], bool)
            for cut, values in by_predicate.items() if members.any() else ():
                add(f"{prefix}mR@{cut} {group}", [float(one[members].mean()) for one in values])
    if rules.given_boxes:
        for cut in CUTS:
            add(f"A@{cut}", [one.annotated.pooled(cut) for one in both if one.annotated is not None])
    return GraphQuality(measures, _classes(both, gold, predicates, groups, training))


def _classes(
    both: Sequence[Recalls],
    gold: SceneGraphs,
    predicates: Sequence[str],
    groups: Sequence[str],
    training: np.ndarray | None,
) -> list[Row]:
    columns = {f"recall@{cut}": both[0].constrained.per_predicate(cut) for cut in CUTS}
    columns["ng_recall@100"] = both[0].unconstrained.per_predicate(CUTS[-1])
    columns["prior_recall@100"] = both[1].constrained.per_predicate(CUTS[-1])
    counts = np.bincount(gold.predicates, minlength=len(predicates))
    rows: list[Row] = []
    for code, name in enumerate(predicates):
        row: Row = {"predicate": name, "group": groups[code], "gold": int(counts[code])}
        if training is not None:
            row["training"] = int(training[code])
        rows.append(row | {key: float(values[code]) for key, values in columns.items()})
    return rows


def group_predicates(counts: np.ndarray, borders: Sequence[int] = ()) -> list[str]:
    """Head, body or tail of every predicate.

    Args:
        counts: of every predicate, by which they are frequent.
        borders: [head, body]: predicates of more than `head` relations, and of at least `body`; none: a
            third of the predicates each, the head the smallest where they do not divide.
    """
    if borders:
        return [GROUPS[0] if n > borders[0] else GROUPS[1] if n >= borders[1] else GROUPS[2] for n in counts]
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    head, body = len(counts) // 3, (2 * len(counts)) // 3
    return [GROUPS[0] if r < head else GROUPS[1] if r < body else GROUPS[2] for r in rank.tolist()]

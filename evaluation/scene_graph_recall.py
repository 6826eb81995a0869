"""Recall of scene graphs: at which rank every annotated relation is found, and the field's means of that.

A prediction finds an annotated relation when classes and predicate agree and both boxes have an IoU of at
least a half. It may find several, and each counts once (Xu et al., "Scene Graph Generation by Iterative
Message Passing", CVPR 2017, with the mean recall of Chen et al. and Tang et al., CVPR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relforge.evaluation.overlap import Overlap
from relforge.evaluation.ranking import candidates
from relforge.evaluation.scene_graphs import SceneGraphs

CUTS = (20, 50, 100)
MIN_IOU = 0.5
NEVER = np.iinfo(np.int64).max
"""Rank of a relation that no prediction finds."""


@dataclass(frozen=True)
class Ranking:
    """Ranked predictions of all images.

    Args:
        images: k, ascending.
        ranks: k places within the image, from 0.
        pairs: k x 2 rows of the predicted boxes.
        predicates: k codes.
    """

    images: np.ndarray
    ranks: np.ndarray
    pairs: np.ndarray
    predicates: np.ndarray

    def take(self, rows: np.ndarray) -> Ranking:
        """Only these rows, ascending; the ranks close up."""
        images = self.images[rows]
        return Ranking(images, places(images), self.pairs[rows], self.predicates[rows])


def constrained(found: SceneGraphs) -> Ranking:
    """One predicate per predicted pair, in the order given ("graph constraint").

    Where no predicate of a pair has scores beside its own, the first row of every pair is its prediction.
    """
    ranking = _in_order(found)
    if found.probabilities is not None:
        return ranking
    keys = found.pairs[:, 0] * len(found.boxes) + found.pairs[:, 1]  # rows of all images' boxes
    _, first = np.unique(keys, return_index=True)
    return ranking.take(np.sort(first))


def _in_order(found: SceneGraphs) -> Ranking:
    images = found.images
    return Ranking(images, places(images), found.pairs, found.predicates)


def best_predicates(found: SceneGraphs) -> np.ndarray:
    """The likeliest predicate of every relation, whatever its own is; a prior names the likeliest anyway."""
    if not isinstance(found.probabilities, np.ndarray):
        return found.predicates
    best: np.ndarray = found.probabilities.argmax(1)
    return best


def unconstrained(found: SceneGraphs, cut: int = CUTS[-1]) -> Ranking:
    """The best `cut` of all (pair, predicate) of each image, by both boxes' scores times the predicate's.

    Ties are in order of pairs, then predicates. Where relations have one predicate each, they are ranked as
    they are given.
    """
    if found.probabilities is None:
        return _in_order(found)
    predicates = found.probabilities.shape[1]
    pair_scores = found.pair_scores()
    kept = [np.zeros(0, np.int64)]
    for first, last in zip(
        found.relation_start[:-1].tolist(), found.relation_start[1:].tolist(), strict=True
    ):
        if last > first:
            scores = pair_scores[first:last, None] * found.probabilities[first:last]
            kept.append(first * predicates + _best(scores.ravel(), cut))
    relation, predicate = np.divmod(np.concatenate(kept), max(predicates, 1))
    images = found.images[relation]
    return Ranking(images, places(images), found.pairs[relation], predicate)


def _best(scores: np.ndarray, cut: int) -> np.ndarray:
    """Places of the `cut` largest scores, falling; the first of equals first."""
    rows = np.flatnonzero(
        scores > 0
    )  # most scores of a prior are 0, and equal numbers take long to partition
    if len(rows) < cut:
        return np.argsort(-scores, kind="stable")[:cut]
    if len(rows) > cut:
        among = scores[rows]
        rows = rows[among >= np.partition(among, len(among) - cut)[len(among) - cut]]
    return rows[np.argsort(-scores[rows], kind="stable")[:cut]]


def places(images: np.ndarray) -> np.ndarray:
    """Place of every row within its image; rows of an image follow each other."""
    first = np.searchsorted(images, images)
    return np.arange(len(images)) - first


def first_ranks(ranking: Ranking, found: SceneGraphs, gold: SceneGraphs, overlap: Overlap) -> np.ndarray:
    """The best rank at which every annotated relation is found, `NEVER` where none finds it."""
    classes = int(max(gold.labels.max(initial=0), found.labels.max(initial=0))) + 1
    predicates = int(max(gold.predicates.max(initial=0), ranking.predicates.max(initial=0))) + 1

    def key(images: np.ndarray, ends: np.ndarray, predicate: np.ndarray) -> np.ndarray:
        code = ((images * classes + ends[:, 0]) * predicates + predicate) * classes + ends[:, 1]
        return np.where((ends >= 0).all(1) & (predicate >= 0), code, -1)

    row, place = candidates(
        key(ranking.images, found.labels[ranking.pairs], ranking.predicates),
        key(gold.images, gold.labels[gold.pairs], gold.predicates),
    )
    fits = np.ones(len(row), bool)
    for end in (0, 1):
        rows = np.flatnonzero(fits)
        boxes = found.boxes[ranking.pairs[row[rows], end]], gold.boxes[gold.pairs[place[rows], end]]
        fits[rows] = overlap(*boxes) >= MIN_IOU
    ranks = np.full(len(gold.pairs), NEVER)
    np.minimum.at(ranks, place[fits], ranking.ranks[row[fits]])
    return ranks


def of_annotated_pairs(ranking: Ranking, gold: SceneGraphs) -> Ranking:
    """Those predictions whose (subject, object) is an annotated pair; boxes are given, so places agree."""
    boxes = max(len(gold.boxes), 1)
    keep = np.isin(ranking.pairs @ [boxes, 1], gold.pairs @ [boxes, 1])
    return ranking.take(np.flatnonzero(keep))


@dataclass(frozen=True)
class Recall:
    """Ranks of annotated relations, and the means of what is found within K.

    Args:
        ranks: r, of `first_ranks`.
        images, predicates: r, of the annotated relations.
        image_count, predicate_count: how many there are.
    """

    ranks: np.ndarray
    images: np.ndarray
    predicates: np.ndarray
    image_count: int
    predicate_count: int

    def take(self, rows: np.ndarray) -> Recall:
        """Of these relations alone, e.g. those of triplets that training does not show."""
        return Recall(
            self.ranks[rows],
            self.images[rows],
            self.predicates[rows],
            self.image_count,
            self.predicate_count,
        )

    def per_image(self, cut: int) -> tuple[np.ndarray, np.ndarray]:
        """Images that have a relation, and the share of theirs that is found."""
        return _shares(self.images, self.ranks < cut, self.image_count)

    def mean(self, cut: int) -> float:
        """Mean over images; 0 without any."""
        shares = self.per_image(cut)[1]
        return float(shares.mean()) if len(shares) else 0.0

    def per_predicate(self, cut: int) -> np.ndarray:
        """P: mean over the images that have the predicate; 0 for a predicate that none has."""
        cells, shares = _shares(
            self.images * self.predicate_count + self.predicates,
            self.ranks < cut,
            self.image_count * self.predicate_count,
        )
        of = cells % max(self.predicate_count, 1)
        sums = np.bincount(of, shares, self.predicate_count)
        return sums / np.maximum(np.bincount(of, minlength=self.predicate_count), 1)

    def pooled(self, cut: int) -> float:
        """Share of all relations that is found; 0 without any."""
        return float((self.ranks < cut).mean()) if len(self.ranks) else 0.0


def _shares(cells: np.ndarray, hits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells that have a row, and the share of hits among the rows of each."""
    totals = np.bincount(cells, minlength=count)
    known = np.flatnonzero(totals)
    return known, np.bincount(cells[hits], minlength=count)[known] / totals[known]

"""The frequency prior of scene graphs: predicates ranked by the classes of a pair alone, without the image.

Frequencies come from a training set, or from the gold of the other half of the images (`prior.fold`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relforge.evaluation.scene_graphs import SceneGraphs


@dataclass(frozen=True)
class TripletCounts:
    """How often each triplet of classes and predicate is annotated.

    Args:
        triplets: m x 3 distinct (subject class, predicate, object class).
        counts: m.
    """

    triplets: np.ndarray
    counts: np.ndarray

    def predicates(self, count: int) -> np.ndarray:
        """Relations of each of `count` predicates."""
        return np.bincount(self.triplets[:, 1], self.counts, count).astype(np.int64)


def count_triplets(graphs: SceneGraphs, images: np.ndarray | None = None) -> TripletCounts:
    """Of annotated relations whose names are known.

    Args:
        images: mask of the images that are counted; None: all.
    """
    triplets = graphs.triplets()
    known = (triplets >= 0).all(1)
    if images is not None:
        known &= images[graphs.images]
    found, counts = np.unique(triplets[known], axis=0, return_counts=True)
    return TripletCounts(found.reshape(-1, 3), counts)


@dataclass(frozen=True)
class PairScores:
    """Scores of every predicate, stored once for all relations that share them.

    Args:
        table: u x P.
        rows: r rows of the table, one per relation.
    """

    table: np.ndarray
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Of the scores written out, r x P."""
        return len(self.rows), self.table.shape[1]

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.table[self.rows[part]]


@dataclass(frozen=True)
class FrequencyPrior:
    """Shares of predicates between two classes.

    Args:
        halves: counts for each half of the images; one where they come from a training set.
        half: of every image, which of `halves`.
        predicates: how many there are.
    """

    halves: tuple[TripletCounts, ...]
    half: np.ndarray
    predicates: int

    def rank(self, found: SceneGraphs) -> SceneGraphs:
        """The same pairs with the shares in place of the model's scores, best first."""
        shares = self._shares(found)
        rows = np.arange(len(found.pairs))
        if found.probabilities is None:
            known = found.predicates >= 0
            best = np.where(known, shares.table[shares.rows, np.where(known, found.predicates, 0)], 0.0)
            predicates = found.predicates
        else:
            best = shares.table.max(1, initial=0.0)[shares.rows]
            # two classes that are never related say nothing
            predicates = np.where(best > 0, shares.table.argmax(1)[shares.rows], -1)
        order = np.lexsort((rows, -found.pair_scores() * best, found.images))
        return replace(
            found,
            pairs=found.pairs[order],
            predicates=predicates[order],
            probabilities=None
            if found.probabilities is None
            else PairScores(shares.table, shares.rows[order]),
        )

    def _shares(self, found: SceneGraphs) -> PairScores:
        classes = (
            max([int(found.labels.max(initial=0)), *(int(h.triplets.max(initial=0)) for h in self.halves)])
            + 1
        )
        ends = found.labels[found.pairs]
        half = self.half[found.images]
        wanted = np.where((ends >= 0).all(1), (half * classes + ends[:, 0]) * classes + ends[:, 1], -1)
        keys, rows = np.unique(wanted, return_inverse=True)
        table = np.zeros((len(keys), self.predicates), np.float32)
        for number, counts in enumerate(self.halves):
            own = (number * classes + counts.triplets[:, 0]) * classes + counts.triplets[:, 2]
            place = np.minimum(np.searchsorted(keys, own), max(len(keys) - 1, 0))
            met = np.flatnonzero(keys[place] == own) if len(keys) else np.zeros(0, np.int64)
            table[place[met], counts.triplets[met, 1]] = counts.counts[met]
        table /= np.maximum(table.sum(1, keepdims=True), 1)
        return PairScores(table, rows.reshape(-1))

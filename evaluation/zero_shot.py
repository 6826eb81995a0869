"""Zero-shot triplets: those of the test split that training does not show (Lu et al., ECCV 2016)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from relforge.evaluation.scene_graph_prior import TripletCounts


def find_unseen(triplets: np.ndarray, shown: TripletCounts) -> np.ndarray:
    """Mask of the triplets, r x 3, that are not among those that training shows."""
    return ~np.isin(_keys(triplets, shown.triplets), _keys(shown.triplets, triplets))


def find_listed(triplets: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Mask of the triplets, r x 3, that are in a list, m x 3."""
    return np.isin(_keys(triplets, listed), _keys(listed, triplets))


def _keys(triplets: np.ndarray, others: np.ndarray) -> np.ndarray:
    size = int(max(triplets.max(initial=0), others.max(initial=0))) + 1
    keys: np.ndarray = (triplets[:, 0] * size + triplets[:, 1]) * size + triplets[:, 2]
    return keys


def read_zero_shot(path: str) -> np.ndarray:
    """The published list, m x 3 (subject class, predicate, object class) from 0.

    `zeroshot_triplet.pytorch` of Scene-Graph-Benchmark holds rows (subject, object, predicate) from 1.

    Raises:
        ValueError: no such file, or one of another form.
    """
    import torch

    if not Path(path).is_file():
        raise ValueError(f"zero_shot: {path} does not exist")
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        rows = np.asarray(found, np.int64)
    except Exception as error:  # torch's reader raises whatever it stumbles over
        raise ValueError(
            f"zero_shot: {path} is no torch file with a tensor ({type(error).__name__})"
        ) from error
    if rows.ndim != 2 or rows.shape[1] != 3 or (rows < 1).any():
        raise ValueError(f"zero_shot: {path}: expected rows of subject, object and predicate, from 1")
    return rows[:, [0, 2, 1]] - 1

"""The perceptron of the learned prior, without torch: every row gets the same bits whatever is beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIMIT = 3.0
"""Deviations from the mean that a feature has at most: no pair is far outside of what was seen."""
_BLOCK = 4096
"""Rows of one matrix product: with one shape, a row's sums have one order."""


@dataclass(frozen=True)
class Perceptron:
    """Features to logits.

    Args:
        mean, deviation: F, of the features in training.
        layers: (weights out x in, biases) of each; ReLU between them.
    """

    mean: np.ndarray
    deviation: np.ndarray
    layers: Sequence[tuple[np.ndarray, np.ndarray]]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """The first output; float64, N."""
        first: np.ndarray = self.outputs(features)[:, 0]
        return first

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """float64, N x outputs."""
        found = np.empty((len(features), len(self.layers[-1][1])))
        for start in range(0, len(features), _BLOCK):
            rows = features[start : start + _BLOCK]
            state = np.zeros((_BLOCK, features.shape[1]))
            state[: len(rows)] = np.clip((rows - self.mean) / self.deviation, -LIMIT, LIMIT)
            for number, (weights, bias) in enumerate(self.layers):
                state = state @ weights.astype(np.float64).T + bias
                if number + 1 < len(self.layers):
                    state = np.maximum(state, 0)
            found[start : start + _BLOCK] = state[: len(rows)]
        return found

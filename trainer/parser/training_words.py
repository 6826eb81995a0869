"""Word rows of a training batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from relforge.stages.parse.learned.lexicon import UNKNOWN, Lexicon
from relforge.trainer.parser.examples import Example


class TrainingWords:
    """Rows of the training vocabulary, with words hidden at random so that spelling is trained too."""

    def __init__(self, lexicon: Lexicon, vocabulary: Sequence[str], hidden: float, rng: np.random.Generator):
        self.rows, self.shapes, flat, offsets = lexicon.encode(vocabulary)
        self.grams = np.split(flat, offsets[1:])
        self.hidden, self.rng = hidden, rng

    def __call__(self, batch: Sequence[Example]) -> tuple[torch.Tensor, ...]:
        words = np.concatenate([e.words for e in batch])
        rows = np.where(self.rng.random(len(words)) < self.hidden, UNKNOWN, self.rows[words])
        distinct, place = np.unique(words, return_inverse=True)
        grams = [self.grams[word] for word in distinct]
        sizes = np.array([len(g) for g in grams])
        arrays = (rows, self.shapes[words], np.concatenate(grams), np.cumsum(sizes) - sizes, place)
        return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)

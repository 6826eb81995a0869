"""What the engine needs of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor
from torch.nn import Parameter

from relforge.models.blocks.decoder import Memory
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Prediction


class PairModel(Protocol):
    """A model that scores given pairs, as the engine uses it; the R-Tagger is one."""

    @property
    def max_pairs(self) -> int:
        """Pair queries of one decoder batch."""

    @property
    def masks_padding(self) -> bool:
        """Whether padded labels change nothing."""

    def parameters(self) -> Iterator[Parameter]: ...

    def encode(
        self, images: Tensor, features: Tensor, padding: Tensor | None, label_padding: Tensor | None
    ) -> Memory:
        """Images B x 3 x H x W and label features B x T x width, encoded."""

    def decode(self, memory: Memory, objects: int, given: PairBatch, *, last_only: bool) -> list[Prediction]:
        """Predictions for given pairs; the first `objects` labels are object labels."""

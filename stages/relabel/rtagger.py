"""Relabelling by an R-Tagger: it scores pairs of the dataset's boxes with every predicate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relforge.stages.answers.worth import Worth
from relforge.stages.backend import Backend
from relforge.stages.relabel.kind import stored_kind
from relforge.stages.relabel.relabeller import Vocabulary, choose_predicates
from relforge.stages.relabel.stage import RelabelStage
from relforge.stages.tag.rtagger import RTagger
from relforge.stages.tag.tagger import ImageCandidates, LoadedTagger, Scores
from relforge.tagger.request import Failure

if TYPE_CHECKING:
    from torch import Tensor


class TaggedPairs:
    """Scores relations with an R-Tagger that learnt from the first round's labels.

    Args:
        model: model folder, hub name of one, or a published `.pth`.
        pairs: `near`: all pairs of boxes that are near each other, with every predicate; `proposed`: the
            candidates of the first round, scored anew.
        near: gap between the boxes of a pair at most, in longer sides of the larger box.
        max_ratio: larger area of a pair over the smaller at most.
        max_boxes: boxes of an image at most, the largest ones.
        classes, short_side, long_side, device, dtype, tokenizer, gate: as of the tagger, see
            `stages.tag.rtagger`.
        batch_size, decoder_batches, cache, graphs: likewise.

    Raises:
        ValueError: an option that cannot be.
    """

    version = 1
    neutral_options = RTagger.neutral_options

    def __init__(
        self,
        model: str,
        pairs: str = "near",
        near: float = 0.5,
        max_ratio: float = 100.0,
        max_boxes: int = 30,
        classes: Sequence[str] | str | None = None,
        short_side: int = 800,
        long_side: int = 1333,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 0,
        decoder_batches: int = 16,
        cache: str | None = None,
        graphs: bool = True,
        tokenizer: str = "roberta-base",
        gate: str | None = None,
    ) -> None:
        if pairs not in ("near", "proposed"):
            raise ValueError(f"pairs is {pairs!r}; choose near or proposed")
        self.model, self.proposed = model, pairs == "proposed"
        self.worth = Worth(near, max_ratio, max_boxes)
        self.tagger = RTagger(
            model,
            classes,
            short_side=short_side,
            long_side=long_side,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            decoder_batches=decoder_batches,
            cache=cache,
            graphs=graphs,
            tokenizer=tokenizer,
            gate=gate,
        )

    def files(self) -> Sequence[str]:
        kind = stored_kind(self.model)
        if kind not in (None, "rtagger"):
            raise ValueError(f"{self.model} is a {kind} model, no R-Tagger; use `backend: detector`")
        return self.tagger.files()

    def load(self, floor: float, vocabulary: Vocabulary) -> tuple[LoadedTagger, Sequence[str]]:
        """See `Relabeller.load`.

        Raises:
            ValueError: the model's relations are none of the first round's.
        """
        loaded = self.tagger.load(floor)
        asked = choose_predicates(self.model, self.tagger.relations, False, vocabulary)
        return loaded, [name for name in asked if self.fits(name)]

    def prepare(self, pixels: NDArray[np.uint8]) -> Tensor:
        return self.tagger.prepare(pixels)

    def fits(self, predicate: str) -> bool:
        return self.tagger.fits(predicate)

    def tag(self, images: Iterable[ImageCandidates[Tensor]]) -> Iterator[Scores | Failure]:
        yield from self.tagger.tag(images)


stage = Backend(RelabelStage, TaggedPairs)

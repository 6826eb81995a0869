"""The R-Tagger's inference engine: each image encoded once, its pairs decoded in one or more batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from relforge.images.detection_resize import normalise_imagenet
from relforge.models.blocks.decoder import Memory
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Prediction
from relforge.models.blocks.text import NO_OBJECTS
from relforge.tagger.buckets import batches_of_equal_size
from relforge.tagger.packing import Layout, Pair, decoder_batches_of, lay_out, pad_requests, relation_texts
from relforge.tagger.request import Failure, Request, Result
from relforge.tagger.text_cache import TextFeatures

BATCH_NOISE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""How far a score may move with the other images of the batch. A score this near to the floor is computed
again with its image alone, so that which scores pass the floor never depends on the batch."""


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


class Engine:
    """Scores the candidates of images.

    Args:
        model: in evaluation mode, on its device.
        features: label features.
        dtype: arithmetic of the model, `torch.float32` or `torch.bfloat16` (autocast).
        batch_size: images computed in one batch at most; only images of exactly equal size are, so there is
            no padding. Bounds memory together with `decoder_batches`.
        decoder_batches: decoder batches computed in one call at most, over all images of the batch.
        max_waiting: images held back at most while their batch fills up.
        floor: scores are only exact with respect to this threshold, see `BATCH_NOISE`.
    """

    def __init__(
        self,
        model: PairModel,
        features: TextFeatures,
        *,
        dtype: torch.dtype = torch.float32,
        batch_size: int = 1,
        decoder_batches: int = 16,
        max_waiting: int = 64,
        floor: float = 0.05,
    ) -> None:
        if not model.masks_padding:
            raise ValueError("the engine pads label lists: build the model with mask_fusion=True")
        self.model = model
        self.features = features
        self.dtype = dtype
        self.batch_size = batch_size
        self.decoder_batches = decoder_batches
        self.max_waiting = max_waiting
        self.floor = floor
        self.device = next(model.parameters()).device
        self.max_pairs = model.max_pairs

    def run(self, requests: Iterable[Request]) -> Iterator[Result | Failure]:
        """Process every request, in the order in which batches fill up; `image_id` identifies them."""
        for batch in batches_of_equal_size(requests, self.batch_size, self.max_waiting):
            yield from self._process(batch)

    def encode(self, requests: Sequence[Request], layout: Layout) -> Memory:
        """Images of equal size and their labels, encoded in one batch."""
        images = torch.stack([request.pixels for request in requests]).to(self.device)
        if images.dtype == torch.uint8:
            images = normalise_imagenet(images)
        return self.model.encode(images, layout.features, None, layout.padding)

    def decode(
        self,
        requests: Sequence[Request],
        memory: Memory,
        layout: Layout,
        pairs: Sequence[Sequence[Sequence[Pair]]],
    ) -> Iterator[tuple[int, Prediction]]:
        """Run all decoder batches, `self.decoder_batches` in a call.

        Args:
            pairs: per image its decoder batches.

        Yields:
            The number of the first decoder batch of the call, and the predictions; with n decoder batches per
            image in the call, row `i * n + k` is decoder batch `first + k` of image i.
        """
        count = max(len(own) for own in pairs)
        step = max(1, self.decoder_batches // len(requests))
        for first in range(0, count, step):
            given = pad_requests(requests, [own[first : first + step] for own in pairs], self.device)
            yield first, self.model.decode(memory, layout.objects, given, last_only=True)[-1]

    def precision(self) -> AbstractContextManager[None]:
        """The arithmetic that `encode` and `decode` run in."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def layout(self, requests: Sequence[Request], texts: Sequence[Sequence[str]]) -> Layout:
        """Label features of a batch; `texts` are the relation texts of each image."""
        names = {name for request in requests for name in (*request.classes, NO_OBJECTS)}
        names |= {text for own in texts for text in own}
        ordered = sorted(names)
        features = dict(zip(ordered, self.features.get(ordered), strict=True))
        return lay_out(requests, texts, features)

    def _process(self, batch: list[Request]) -> list[Result | Failure]:
        """Results of one batch. It is split when memory runs out; an image whose scores the batch could
        decide is computed again alone."""
        try:
            results = self._compute(batch)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(batch) == 1:
                return [Failure(batch[0].image_id, "out_of_memory", str(error).splitlines()[0])]
            results = []
        if not results:  # memory of the failed attempt is free again here, after the except clause
            half = len(batch) // 2
            return self._process(batch[:half]) + self._process(batch[half:])
        if len(batch) == 1:
            return results
        noise = BATCH_NOISE[self.dtype]
        settled: list[Result | Failure] = []
        for request, result in zip(batch, results, strict=True):
            close = isinstance(result, Result) and bool((np.abs(result.scores - self.floor) <= noise).any())
            settled += self._process([request]) if close else [result]
        return settled

    @torch.inference_mode()
    def _compute(self, batch: list[Request]) -> list[Result | Failure]:
        texts = [relation_texts(request) for request in batch]
        layout = self.layout(batch, texts)
        pairs = [decoder_batches_of(request.candidates, self.max_pairs) for request in batch]
        scores = [
            _Scores(request, layout.relations[i], own)
            for i, (request, own) in enumerate(zip(batch, pairs, strict=True))
        ]
        with self.precision():
            memory = self.encode(batch, layout)
            for first, prediction in self.decode(batch, memory, layout, pairs):
                count = len(prediction.relation_logits) // len(batch)
                relation = prediction.relation_logits.float().sigmoid().cpu().numpy()
                subject, object_ = (
                    _best_class_probability(logits, layout, count) for logits in class_logits(prediction)
                )
                for i, own in enumerate(scores):
                    part = slice(i * count, (i + 1) * count)
                    own.collect(first, relation[part], subject[part], object_[part])
        return [own.result() for own in scores]


def class_logits(prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Class logits of subjects and of objects; an R-Tagger has both."""
    assert prediction.subject_logits is not None
    return prediction.subject_logits, prediction.object_logits


class _Scores:
    """Collects the scores of one image's candidates from the decoder batches that hold their pairs."""

    def __init__(self, request: Request, columns: dict[str, int], pairs: list[list[Pair]]) -> None:
        self.image_id = request.image_id
        position = {
            pair: (number, query) for number, batch in enumerate(pairs) for query, pair in enumerate(batch)
        }
        self.positions = np.array(
            [(*position[(s, o)], columns[text]) for s, o, text in request.candidates], dtype=np.int64
        ).reshape(-1, 3)  # candidate x (decoder batch, query, text)
        self.scores = np.full((3, len(self.positions)), np.nan, dtype=np.float32)

    def collect(self, first: int, relation: np.ndarray, subject: np.ndarray, object_: np.ndarray) -> None:
        """Take scores of decoder batches `first`, `first + 1`, ...

        Args:
            relation: decoder batch x query x text.
            subject, object_: decoder batch x query.
        """
        number, query, column = self.positions.T
        present = (number >= first) & (number < first + len(relation))
        index = (number[present] - first, query[present])
        self.scores[:, present] = relation[(*index, column[present])], subject[index], object_[index]

    def result(self) -> Result | Failure:
        if not np.isfinite(self.scores).all():
            count = int((~np.isfinite(self.scores[0])).sum())
            return Failure(
                self.image_id, "not_finite", f"{count} of {len(self.positions)} scores are NaN or infinite"
            )
        return Result(self.image_id, *self.scores)


def _best_class_probability(logits: Tensor, layout: Layout, decoder_batches: int) -> np.ndarray:
    """Softmax probability of the likeliest class of every query. The softmax runs over the image's own labels
    and "no objects", never over padding."""
    logits = logits.float()
    if layout.padding is not None:
        absent = layout.padding[:, : layout.objects].repeat_interleave(decoder_batches, 0)
        logits = logits.masked_fill(absent[:, None], float("-inf"))
    return logits.softmax(-1).amax(-1).cpu().numpy()


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return any(words in str(error) for words in ("not enough memory", "can't allocate memory"))

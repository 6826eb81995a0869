"""The R-Tagger's inference engine: each image encoded once, its pairs decoded in one or more batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from relforge.models.blocks.decoder import Memory
from relforge.models.blocks.prediction import Prediction
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.gpu import ReadBack, autocast, exact_arithmetic, free_cached_memory, is_out_of_memory
from relforge.tagger.buckets import batches_of_equal_size
from relforge.tagger.image_batch import exact_size, padded_size, stack
from relforge.tagger.packing import Layout, Pair, decoder_batches_of, lay_out, pad_requests, relation_texts
from relforge.tagger.padded_forward import PaddedForward, fill_up
from relforge.tagger.pair_model import PairModel
from relforge.tagger.predictions import values_of
from relforge.tagger.request import Failure, Request, Result
from relforge.tagger.started import Call, Computed, Failed, Scores, Started
from relforge.tagger.text_cache import TextFeatures

BATCH_NOISE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""How far a score may move with the other images of the batch. On a CPU a score this near to the floor is
computed again with its image alone, so that which scores pass the floor never depends on the batch. On a
GPU that would be nearly every image; there scores are kept down to this much below the floor
(`Engine.margin`)."""
LABEL_COLUMNS = 32
"""On a GPU the labels of a batch are padded to a multiple of this many."""


class Engine:
    """Scores the candidates of images.

    Args:
        model: in evaluation mode, on its device; for a GPU see `gpu_model.prepare_for_gpu`.
        features: label features.
        dtype: arithmetic of the model, `torch.float32` or `torch.bfloat16` (autocast).
        batch_size: images computed in one batch at most. Bounds memory together with `decoder_batches`. On a
            CPU and in float32 only images of exactly equal size are, so there is no padding.
        decoder_batches: decoder batches computed in one call at most, over all images of the batch.
        max_waiting: images held back at most while their batch fills up.
        floor: scores are only exact with respect to this threshold, see `BATCH_NOISE`.
        on_gpu: compute as on a GPU: one batch ahead, no image twice, labels padded to `LABEL_COLUMNS`, in
            bfloat16 batches of few fixed shapes (`PaddedForward`). None: where the model is on one.
        graphs: replay the fixed shapes as CUDA graphs, where memory allows. None: where there is a GPU.
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
        on_gpu: bool | None = None,
        graphs: bool | None = None,
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
        self.on_gpu = self.device.type != "cpu" if on_gpu is None else on_gpu
        self.margin = BATCH_NOISE[dtype] if self.on_gpu else 0.0
        """How far below the floor scores are kept."""
        self.pads = self.on_gpu and dtype != torch.float32
        """Whether batches are of few fixed shapes; float32 keeps those of the published code."""
        graphs = self.device.type == "cuda" if graphs is None else graphs
        self.padded = PaddedForward(model, self.device, self.precision, decoder_batches, graphs)

    def run(self, requests: Iterable[Request]) -> Iterator[Result | Failure]:
        """Process every request, in the order in which batches fill up; `image_id` identifies them."""
        size_of = padded_size if self.pads else exact_size
        ahead = 1 if self.on_gpu else 0  # a batch is prepared while the GPU computes the one before
        started: deque[list[Started]] = deque()
        for batch in batches_of_equal_size(requests, self.batch_size, self.max_waiting, size_of):
            started.append(self._start(batch))
            while len(started) > ahead:
                yield from self._finish(started.popleft())
        for one in started:
            yield from self._finish(one)

    def encode(self, requests: Sequence[Request], layout: Layout) -> Memory:
        """Images of equal size and their labels, encoded in one batch without padding."""
        return self.model.encode(stack(requests, self.device), layout.features, None, layout.padding)

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
            given = pad_requests(requests, [own[first : first + step] for own in pairs]).to(self.device)
            yield first, self.model.decode(memory, layout.objects, given, last_only=True)[-1]

    @contextmanager
    def precision(self) -> Iterator[None]:
        """The arithmetic that `encode` and `decode` run in."""
        with exact_arithmetic(self.dtype, self.device), autocast(self.device, self.dtype):
            yield

    def layout(self, requests: Sequence[Request], texts: Sequence[Sequence[str]]) -> Layout:
        """Label features of a batch; `texts` are the relation texts of each image."""
        names = {name for request in requests for name in (*request.classes, NO_OBJECTS)}
        names |= {text for own in texts for text in own}
        ordered = sorted(names)
        multiple = LABEL_COLUMNS if self.on_gpu else 1
        return lay_out(requests, texts, ordered, self.features.get(ordered), multiple)

    def _start(self, batch: list[Request]) -> list[Started]:
        """Begin to compute a batch; it is split when memory runs out."""
        try:
            return [self._compute(batch)]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                return [Failed(Failure(batch[0].image_id, "out_of_memory", str(error).splitlines()[0]))]
        # memory of the failed attempt is free again here, after the except clause
        self.padded.release("memory ran out")
        free_cached_memory(self.device)
        half = len(batch) // 2
        return self._start(batch[:half]) + self._start(batch[half:])

    def _finish(self, started: list[Started]) -> list[Result | Failure]:
        """Results of a batch; on a CPU an image whose scores it could decide is computed again alone."""
        settled: list[Result | Failure] = []
        for part in started:
            results = part.results()
            if len(results) == 1 or self.margin:
                settled += results
                continue
            for request, result in zip(part.batch, results, strict=True):
                close = isinstance(result, Result) and self._is_close(result.scores)
                settled += self._finish(self._start([request])) if close else [result]
        return settled

    def _is_close(self, scores: np.ndarray) -> bool:
        """Whether a score is so near to the floor that the other images could decide on which side it is."""
        return bool((np.abs(scores - self.floor) <= BATCH_NOISE[self.dtype]).any())

    @torch.inference_mode()
    def _compute(self, batch: list[Request]) -> Started:
        filled = fill_up(batch, self.batch_size) if self.pads else batch
        layout = self.layout(filled, [relation_texts(request) for request in filled])
        pairs = [decoder_batches_of(request.candidates, self.max_pairs) for request in batch]
        scores = [
            Scores(request, layout.relations[i], own)
            for i, (request, own) in enumerate(zip(batch, pairs, strict=True))
        ]
        if self.pads:
            pairs += [[] for _ in filled[len(batch) :]]
            found, fixed = self.padded.start(filled, layout, pairs)
            return Computed(batch, scores, fixed, ReadBack(found))
        calls: list[Call] = []
        values: list[Tensor] = []
        absent = None if layout.padding is None else layout.padding[:, : layout.objects]
        with self.precision():
            memory = self.encode(batch, layout)
            for first, prediction in self.decode(batch, memory, layout, pairs):
                count = len(prediction.relation_logits) // len(batch)
                queries, texts = prediction.relation_logits.shape[1:]
                calls.append(Call(first, count, queries, texts, len(batch)))
                values += values_of(prediction, absent)
        return Computed(batch, scores, calls, ReadBack(torch.cat(values)))

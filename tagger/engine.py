"""The R-Tagger's inference engine: each picture encoded once, its pairs asked in as many passes as needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from relforge.models.blocks.decoder import Memory
from relforge.models.rlipv2.model import Prediction, RelationModel
from relforge.tagger.buckets import buckets
from relforge.tagger.packing import Layout, Pair, given_pairs, lay_out, passes_of, relation_texts
from relforge.tagger.question import NO_OBJECTS, Answer, Failure, Question
from relforge.tagger.text_cache import TextFeatures

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

BATCH_NOISE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""How far a score may move with the pictures computed beside it; within this of the floor it is asked again
with its picture alone, so that which scores pass the floor never depends on the company."""


class Engine:
    """Answers questions about pictures.

    Args:
        model: an R-Tagger in evaluation mode, on its device.
        features: label features.
        dtype: arithmetic of the model, `torch.float32` or `torch.bfloat16` (autocast).
        pictures: most pictures computed together; only pictures of exactly equal size are, so there is
            no padding. Bounds memory together with `passes`.
        passes: most passes over one batch's memory computed together.
        waiting: most pictures held back while their batch fills up.
        floor: scores are only exact with respect to this threshold, see `BATCH_NOISE`.
    """

    def __init__(
        self,
        model: RelationModel,
        features: TextFeatures,
        *,
        dtype: torch.dtype = torch.float32,
        pictures: int = 1,
        passes: int = 16,
        waiting: int = 64,
        floor: float = 0.05,
    ) -> None:
        if not model.encoder.mask_fusion:
            raise ValueError("the engine pads label lists: build the model with mask_fusion=True")
        self.model = model
        self.features = features
        self.dtype = dtype
        self.pictures = pictures
        self.passes = passes
        self.waiting = waiting
        self.floor = floor
        self.device = next(model.parameters()).device
        self.slots = int(model.queries.relation_content.num_embeddings) // 2  # type: ignore[union-attr,operator]

    def run(self, questions: Iterable[Question]) -> Iterator[Answer | Failure]:
        """Answer every question, in the order in which batches fill up; keys say which is which."""
        for batch in buckets(questions, self.pictures, self.waiting):
            yield from self._answer(batch)

    def encode(self, questions: Sequence[Question], layout: Layout) -> Memory:
        """Pictures of equal size and their labels, encoded together."""
        images = torch.stack([question.pixels for question in questions]).to(self.device)
        if images.dtype == torch.uint8:
            mean, std = (
                images.new_tensor(values, dtype=torch.float32)[:, None, None]
                for values in (IMAGENET_MEAN, IMAGENET_STD)
            )
            images = (images.float() / 255 - mean) / std
        return self.model.encode(images, layout.features, None, layout.padding)

    def decode(
        self,
        questions: Sequence[Question],
        memory: Memory,
        layout: Layout,
        rows: Sequence[Sequence[Sequence[Pair]]],
    ) -> Iterator[tuple[int, Prediction]]:
        """Ask all passes, `self.passes` at a time.

        Args:
            rows: per picture its passes.

        Yields:
            The number of the first pass in the call, and its answers; row `i * n + k` of n passes per
            picture is pass `first + k` of picture i.
        """
        most = max(len(own) for own in rows)
        step = max(1, self.passes // len(questions))
        for first in range(0, most, step):
            given = given_pairs(questions, [own[first : first + step] for own in rows], self.device)
            passes = len(given.boxes) // len(questions)
            labels = memory.labels[-1].repeat_interleave(passes, 0)
            queries = self.model.queries(given, labels)
            yield first, self.model.decode(memory, queries, layout.objects, last_only=True)[-1]

    def precision(self) -> AbstractContextManager[None]:
        """The arithmetic that `encode` and `decode` run in."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def layout(self, questions: Sequence[Question], texts: Sequence[Sequence[str]]) -> Layout:
        """Label features of a batch; `texts` are the relation texts of each picture."""
        names = {name for question in questions for name in (*question.classes, NO_OBJECTS)}
        names |= {text for own in texts for text in own}
        ordered = sorted(names)
        feature = dict(zip(ordered, self.features.get(ordered), strict=True))
        return lay_out(questions, texts, feature)

    def _answer(self, batch: list[Question]) -> list[Answer | Failure]:
        """Answers of one batch: split when memory runs out, asked again alone where company could decide."""
        try:
            answers = self._compute(batch)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if len(batch) == 1:
                return [Failure(batch[0].key, "out_of_memory", str(error).splitlines()[0])]
            answers = []
        if not answers:  # memory of the failed attempt is free again here, after the except clause
            half = len(batch) // 2
            return self._answer(batch[:half]) + self._answer(batch[half:])
        if len(batch) == 1:
            return answers
        noise = BATCH_NOISE[self.dtype]
        settled: list[Answer | Failure] = []
        for question, answer in zip(batch, answers, strict=True):
            close = isinstance(answer, Answer) and bool((np.abs(answer.scores - self.floor) <= noise).any())
            settled += self._answer([question]) if close else [answer]
        return settled

    @torch.inference_mode()
    def _compute(self, batch: list[Question]) -> list[Answer | Failure]:
        texts = [relation_texts(question) for question in batch]
        layout = self.layout(batch, texts)
        rows = [passes_of(question.candidates, self.slots) for question in batch]
        scores = [
            _Scores(question, layout.relations[i], own)
            for i, (question, own) in enumerate(zip(batch, rows, strict=True))
        ]
        with self.precision():
            memory = self.encode(batch, layout)
            for first, prediction in self.decode(batch, memory, layout, rows):
                passes = len(prediction.relation_logits) // len(batch)
                relation = prediction.relation_logits.float().sigmoid().cpu().numpy()
                ends = [
                    _best_class(logits, layout, passes)
                    for logits in (prediction.subject_logits, prediction.object_logits)
                ]
                for i, own in enumerate(scores):
                    part = slice(i * passes, (i + 1) * passes)
                    own.take(first, relation[part], ends[0][part], ends[1][part])
        return [own.answer() for own in scores]


class _Scores:
    """Collects the scores of one picture's candidates from the passes that hold their pairs."""

    def __init__(self, question: Question, columns: dict[str, int], rows: list[list[Pair]]) -> None:
        self.key = question.key
        place = {pair: (number, slot) for number, row in enumerate(rows) for slot, pair in enumerate(row)}
        self.places = np.array(
            [(*place[(s, o)], columns[text]) for s, o, text in question.candidates], dtype=np.int64
        ).reshape(-1, 3)
        self.found = np.full((3, len(self.places)), np.nan, dtype=np.float32)

    def take(self, first: int, relation: np.ndarray, subject: np.ndarray, object_: np.ndarray) -> None:
        """Scores of passes `first`, `first + 1`, ...: passes x slots x texts, and passes x slots twice."""
        row, slot, column = self.places.T
        here = (row >= first) & (row < first + len(relation))
        at = (row[here] - first, slot[here])
        self.found[:, here] = relation[(*at, column[here])], subject[at], object_[at]

    def answer(self) -> Answer | Failure:
        if not np.isfinite(self.found).all():
            count = int((~np.isfinite(self.found[0])).sum())
            return Failure(
                self.key, "not_finite", f"{count} of {len(self.places)} scores are NaN or infinite"
            )
        return Answer(self.key, *self.found)


def _best_class(logits: Tensor, layout: Layout, passes: int) -> np.ndarray:
    """Softmax probability of the likeliest class of every slot; padded labels and "no objects" take part in
    the softmax as the picture's own list says, never as padding."""
    logits = logits.float()
    if layout.padding is not None:
        absent = layout.padding[:, : layout.objects].repeat_interleave(passes, 0)
        logits = logits.masked_fill(absent[:, None], float("-inf"))
    return logits.softmax(-1).amax(-1).cpu().numpy()


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return any(words in str(error) for words in ("not enough memory", "can't allocate memory"))

"""Inference with the trained network: lists of words in, decisions as flat arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relforge.stages.parse.learned.lexicon import Lexicon
from relforge.stages.parse.learned.model import GraphTagger, WordEncoder

BATCH_SIZE = 256
"""Sentences of one LSTM batch, all of one length: no padding inside a sentence."""

STEP = 32
"""Row counts are rounded up to a multiple of this, so that one row and many take the same kernels."""

PAIR_BATCH_SIZE = 512
"""Pairs scored in one batch."""

MAX_CACHED_WORDS = 200_000
"""Distinct words whose vectors are cached; then the cache starts afresh."""


@dataclass(frozen=True)
class Decisions:
    """What the network decided about a batch. N words, E entities, A attributes, all flat.

    Args:
        start: first word of each sentence, and N at the end (S + 1,).
        entity, attribute: (E, 2), (A, 2) first and last word of each chunk, in order.
        relation: (R, 4) subject entity, object entity, frame, word that fills the frame or -1.
        confidence: (R,) probability of the frame.
        owner: (O, 2) attribute, entity.
        implied: (I, 2) entity, implied attribute.
    """

    start: np.ndarray
    entity: np.ndarray
    attribute: np.ndarray
    relation: np.ndarray
    confidence: np.ndarray
    owner: np.ndarray
    implied: np.ndarray


class Network:
    """Runs a `WordEncoder` and a `GraphTagger`.

    Args:
        takes_filler: (frames,) whether a frame takes a filler word.
    """

    def __init__(
        self, words: WordEncoder, tagger: GraphTagger, lexicon: Lexicon, takes_filler: np.ndarray
    ) -> None:
        self.words, self.tagger = words.eval(), tagger.eval()
        self.lexicon, self.takes_filler = lexicon, takes_filler
        self._row: dict[str, int] = {}
        self._vectors = torch.zeros(0, words.mix.out_features)

    @torch.inference_mode()
    def decide(self, sentences: Sequence[Sequence[str]]) -> Decisions:
        """Decide about S sentences; sentences without words are allowed."""
        lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
        start = np.concatenate([[0], np.cumsum(lengths)])
        ids = self._ids(sentences)
        h = self._context(ids, lengths, start)
        sentence = np.repeat(np.arange(len(lengths)), lengths)
        tags = self.tagger.tag(h).argmax(-1).numpy()[: len(ids)]
        entity = chunks(tags, sentence, 1)
        attribute = chunks(tags, sentence, 3)
        relation, confidence = self._relations(h, entity, sentence, start)
        owner = self._owners(h, attribute, entity, sentence)
        implied = np.zeros((0, 2), np.int64)
        if len(entity):
            rows = _rows(entity[:, 1])
            implied = np.argwhere(self.tagger.implied(h[rows]).numpy()[: len(entity)] > 0)
        return Decisions(start, entity, attribute, relation, confidence, owner, implied)

    def _ids(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        row = self._row
        new = {word for sentence in sentences for word in sentence if word not in row}
        if new:
            if len(row) + len(new) > MAX_CACHED_WORDS:
                row.clear()
                new = {word for sentence in sentences for word in sentence}
            self._learn(sorted(new))
        return np.fromiter((row[word] for sentence in sentences for word in sentence), np.int64)

    def _learn(self, new: list[str]) -> None:
        padded = new + [""] * (-len(new) % STEP)
        made = []
        for i in range(0, len(padded), STEP):
            made.append(self.words(*(torch.from_numpy(a) for a in self.lexicon.encode(padded[i : i + STEP]))))
        first = len(self._row)
        self._vectors = torch.cat([self._vectors[:first], *made])[: first + len(new)]
        self._row.update((word, first + i) for i, word in enumerate(new))

    def _context(self, ids: np.ndarray, lengths: np.ndarray, start: np.ndarray) -> Tensor:
        """Vectors in context, one row per word, rows padded to a multiple of `STEP` with zeros."""
        width = 2 * self.tagger.lstm.hidden_size
        out = torch.zeros(len(ids) + (-len(ids) % STEP), width)
        for length in np.unique(lengths[lengths > 0]).tolist():
            members = np.flatnonzero(lengths == length)
            for i in range(0, len(members), BATCH_SIZE):
                block = members[i : i + BATCH_SIZE]
                at = torch.from_numpy(start[block][:, None] + np.arange(length))  # B x L
                vectors = self._vectors[torch.from_numpy(ids)[at]]
                vectors = F.pad(vectors, (0, 0, 0, 0, 0, -len(block) % STEP))
                out[at.reshape(-1)] = self.tagger.context(vectors)[: len(block)].reshape(-1, width)
        return out

    def _relations(
        self, h: Tensor, entity: np.ndarray, sentence: np.ndarray, start: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        sentence_of = sentence[entity[:, 0]]
        subject, obj = cross(sentence_of, sentence_of)
        apart = subject != obj
        subject, obj = subject[apart], obj[apart]
        if not len(subject):
            return np.zeros((0, 4), np.int64), np.zeros(0, np.float32)
        ends = entity[:, 1]
        here = h[_rows(ends)]
        left, right = self.tagger.subject(here), self.tagger.object(here)
        made, scored = [], []
        for i in range(0, len(subject), PAIR_BATCH_SIZE):  # in pieces that stay in the processor's cache
            s, o = _rows(subject[i : i + PAIR_BATCH_SIZE]), _rows(obj[i : i + PAIR_BATCH_SIZE])
            gap = torch.from_numpy(ends[o] - ends[s])
            made.append(self.tagger.pairs(left[torch.from_numpy(s)], right[torch.from_numpy(o)], gap))
            scored.append(self.tagger.frames(made[-1]))
        pairs, scores = torch.cat(made), torch.cat(scored)
        frame = scores.argmax(-1).numpy()[: len(subject)]
        found = np.flatnonzero(frame)
        confidence = scores[torch.from_numpy(found)].softmax(-1).amax(-1).numpy()
        relation = np.stack([subject[found], obj[found], frame[found], np.full(len(found), -1)], axis=1)
        rows = np.flatnonzero(self.takes_filler[relation[:, 2]])
        if len(rows):
            relation[rows, 3] = self._find_fillers(
                h, pairs, found[rows], sentence_of[relation[rows, 0]], start
            )
        return relation, confidence

    def _find_fillers(
        self, h: Tensor, pairs: Tensor, which: np.ndarray, sentence_of: np.ndarray, start: np.ndarray
    ) -> np.ndarray:
        """The word of its sentence that fills each pair's frame."""
        query = self.tagger.query(pairs[torch.from_numpy(_rows(which))])[: len(which)]
        key = self.tagger.key(h)
        filled = np.zeros(len(which), np.int64)
        lengths = start[sentence_of + 1] - start[sentence_of]
        for length in np.unique(lengths).tolist():
            same = np.flatnonzero(lengths == length)
            at = torch.from_numpy(start[sentence_of[same]][:, None] + np.arange(length))
            scores = (key[at] * query[torch.from_numpy(same)][:, None]).sum(-1)
            filled[same] = start[sentence_of[same]] + scores.argmax(-1).numpy()
        return filled

    def _owners(
        self, h: Tensor, attribute: np.ndarray, entity: np.ndarray, sentence: np.ndarray
    ) -> np.ndarray:
        """Every entity an attribute belongs to; at least the likeliest."""
        a, e = cross(sentence[attribute[:, 0]], sentence[entity[:, 0]])
        if not len(a):
            return np.zeros((0, 2), np.int64)
        near, far = attribute[_rows(a), 1], entity[_rows(e), 1]
        words, places = np.unique(np.concatenate([near, far]), return_inverse=True)
        here = h[_rows(words)]
        left, right = self.tagger.attribute(here), self.tagger.owner(here)
        a_place, e_place = torch.from_numpy(places[: len(near)]), torch.from_numpy(places[len(near) :])
        gap = torch.from_numpy(far - near)
        scores = self.tagger.arcs(left[a_place], right[e_place], gap).numpy()[: len(a)]
        first = np.flatnonzero(np.diff(a, prepend=-1))
        best = np.maximum.reduceat(scores, first)
        likeliest = scores == np.repeat(best, np.diff(np.append(first, len(a))))
        kept = (scores > 0) | likeliest
        return np.stack([a[kept], e[kept]], axis=1)


def chunks(tags: np.ndarray, sentence: np.ndarray, begin: int) -> np.ndarray:
    """(C, 2) first and last word of each chunk whose tags are `begin` and `begin + 1`.

    A chunk that opens with the inner tag is a chunk all the same.
    """
    inside = (tags == begin) | (tags == begin + 1)
    same = np.zeros(len(tags) + 1, bool)  # same[i]: words i-1 and i share a sentence
    same[1:-1] = sentence[1:] == sentence[:-1]
    before = np.concatenate([[False], inside[:-1]]) & same[:-1]
    first = inside & ((tags == begin) | ~before)
    goes_on = np.concatenate([inside[1:] & (tags[1:] == begin + 1), [False]]) & same[1:]
    last = inside & ~goes_on
    return np.stack([np.flatnonzero(first), np.flatnonzero(last)], axis=1)


def cross(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index pairs (i, j) with left[i] == right[j]; both sorted. Ordered by i, then j."""
    low = np.searchsorted(right, left, "left")
    count = np.searchsorted(right, left, "right") - low
    i = np.repeat(np.arange(len(left)), count)
    j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + low[i]
    return i, j


def _rows(index: np.ndarray) -> np.ndarray:
    """An index array rounded up to a multiple of `STEP` by repeating row 0."""
    return np.concatenate([index, np.zeros(-len(index) % STEP, np.int64)])

"""What other models say of the training captions, as soft targets of one that learns from them.

A gold file holds choices that another annotator makes differently ("utility truck" or "truck"). Several
models, each trained without one part of the captions (`train --leave-out`), agree where the wording decides
and differ where it does not; one network that learns their mean keeps most of the gain of the ensemble
(Kuncoro et al., Distilling an Ensemble of Greedy Dependency Parsers, EMNLP 2016).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relforge.stages.parse.learned.files import load_model, read_card
from relforge.stages.parse.learned.model import TAGS, GraphTagger
from relforge.stages.parse.learned.tables import Tables
from relforge.trainer.parser.align import Aligned
from relforge.trainer.parser.examples import Example
from relforge.trainer.parser.lessons import Lessons, Taught
from relforge.trainer.parser.training_words import TrainingWords

OWN_SHARE = 0.4
"""Weight of the teacher that has not seen a caption; the others share the rest."""

BATCH_SIZE = 256


def fold(aligned: Aligned, folds: int) -> int:
    """Part in [0, `folds`) that a caption belongs to; captions of the same words are in one part."""
    return zlib.crc32(" ".join(aligned.words).encode()) % folds


def number(examples: Sequence[Example]) -> tuple[int, int, int]:
    """Give every word, pair and arc of the examples a row of its own; returns how many there are."""
    words = pairs = arcs = 0
    for e in examples:
        e.tag_rows = np.arange(words, words + len(e.words))
        e.frame_rows = np.arange(pairs, pairs + len(e.pairs))
        e.arc_rows = np.arange(arcs, arcs + len(e.arcs))
        words, pairs, arcs = words + len(e.words), pairs + len(e.pairs), arcs + len(e.arcs)
    return words, pairs, arcs


@torch.inference_mode()
def collect_lessons(
    folders: Sequence[Path],
    corpus: Sequence[Aligned],
    examples: Sequence[Example],
    vocabulary: Sequence[str],
    tables: Tables,
    weight: float,
) -> Lessons:
    """The mean of the teachers' probabilities at the gold entities of every example.

    Args:
        folders: model folders of teachers.
        corpus, examples: training captions, in one order.
        vocabulary: what the examples' words are numbers of.
        tables: of the model that learns. A teacher gives no probability to frames that it does not know.
        weight: share of the teachers in the targets; the rest is the gold graph's.
    """
    words, pairs, arcs = number(examples)
    shapes = ((words, len(TAGS)), (pairs, len(tables.frames)), (arcs,))
    lessons = Lessons(*(Taught(torch.zeros(shape), weight) for shape in shapes))
    by_length: dict[int, list[int]] = {}
    for i, e in enumerate(examples):
        by_length.setdefault(len(e.words), []).append(i)
    batches = [
        members[i : i + BATCH_SIZE]
        for members in by_length.values()
        for i in range(0, len(members), BATCH_SIZE)
    ]
    for folder in folders:
        network, known = load_model(folder)
        columns = torch.tensor([known.frames.index(f) if f in known.frames else -1 for f in tables.frames])
        lookup = TrainingWords(network.lexicon, vocabulary, 0.0, np.random.default_rng(0))
        shares = _shares(folder, corpus, len(folders))
        for batch in batches:
            chosen = [examples[i] for i in batch]
            vectors = network.words(*lookup(chosen)).view(len(chosen), len(chosen[0].words), -1)
            _add(lessons, network.tagger, vectors, chosen, shares[batch], columns)
    return lessons


def _shares(folder: Path, corpus: Sequence[Aligned], teachers: int) -> np.ndarray:
    """(captions,) weight of one teacher's word for each caption; those of all teachers sum to one.

    Where every teacher saw the caption, or none did, all have the same weight.
    """
    card = read_card(folder)
    left_out, folds = card.get("leave_out"), card.get("folds", teachers)
    if left_out is None or folds != teachers or teachers == 1:
        return np.full(len(corpus), 1 / teachers, np.float32)
    own = np.array([fold(aligned, folds) == left_out for aligned in corpus])
    return np.where(own, OWN_SHARE, (1 - OWN_SHARE) / (teachers - 1)).astype(np.float32)


def _add(
    lessons: Lessons,
    tagger: GraphTagger,
    vectors: Tensor,
    batch: Sequence[Example],
    shares: np.ndarray,
    columns: Tensor,
) -> None:
    """Add one teacher's probabilities for a batch of captions of equal length.

    Args:
        columns: the teacher's number of each frame, -1 for those it does not know.
    """
    length = vectors.shape[1]
    h = tagger.context(vectors).reshape(len(batch) * length, -1)
    share = torch.from_numpy(shares)
    rows = torch.from_numpy(np.concatenate([e.tag_rows for e in batch]))
    lessons.tags.probabilities[rows] += tagger.tag(h).softmax(-1) * share.repeat_interleave(length)[:, None]
    subject, obj, _, _ = _moved([e.pairs for e in batch], length, 4)
    if len(subject):
        made = tagger.pairs(tagger.subject(h)[subject], tagger.object(h)[obj], obj - subject)
        rows = torch.from_numpy(np.concatenate([e.frame_rows for e in batch]))
        frames = F.pad(tagger.frames(made).softmax(-1), (0, 1))[:, columns]  # the added column is 0
        lessons.frames.probabilities[rows] += frames * share[subject // length][:, None]
    attribute, owner, _ = _moved([e.arcs for e in batch], length, 3)
    if len(attribute):
        scores = tagger.arcs(tagger.attribute(h)[attribute], tagger.owner(h)[owner], owner - attribute)
        rows = torch.from_numpy(np.concatenate([e.arc_rows for e in batch]))
        lessons.arcs.probabilities[rows] += scores.sigmoid() * share[attribute // length]


def _moved(parts: Sequence[np.ndarray], length: int, columns: int) -> tuple[Tensor, ...]:
    """Columns of all pairs or arcs of a batch, the first two as words of the whole batch."""
    moved = [part.copy() for part in parts]
    for i, part in enumerate(moved):
        part[:, :2] += i * length
    return torch.from_numpy(np.concatenate(moved).reshape(-1, columns)).unbind(1)

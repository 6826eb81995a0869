"""What OCN knows of labels before it sees an image: statistics of the training set, and word vectors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHING = 0.1  # rows that are spread over all relations


def object_prior(counts: Tensor, *, joint: bool = False) -> Tensor:
    """Relations of every object class, (C + 1) x R with rows that sum to 1; the last row, of "no objects", is
    uniform, as are those of classes that do not occur.

    Args:
        counts: C x R rows of the training set.
        joint: smooth the joint probabilities of class and relation instead of the relations' given the class.
    """
    counts = counts.double()
    total = counts.sum() if joint else counts.sum(1, keepdim=True)
    table = F.pad(counts / total.clamp(min=1), (0, 0, 0, 1))
    table = table + SMOOTHING / counts.shape[1]
    return (table / table.sum(1, keepdim=True)).float()


def co_occurrence(counts: Tensor) -> Tensor:
    """Which relations a pair has beside one of them, R x R with rows that sum to 1, or 0 where it has none.

    Args:
        counts: R x R ordered pairs of rows, `LabelCounts.together`.
    """
    counts = counts.double()
    return (counts / counts.sum(1, keepdim=True).clamp(min=1)).float()


def words_of(name: str) -> list[str]:
    """The words of a label: "no_interaction" has two."""
    return re.findall(r"[a-z0-9]+", name.lower())


def word_table(names: Sequence[str], path: str) -> Tensor:
    """One vector of length 1 per label, the mean of its words', R x width.

    Args:
        path: a text file with a word and its numbers on each line, as GloVe has it.

    Raises:
        OSError: the file cannot be read.
        ValueError: a word has no vector, or the file is of another form.
    """
    vectors = read_vectors(path, {word for name in names for word in words_of(name)})
    missing = [name for name in names if not all(word in vectors for word in words_of(name))]
    if missing:
        raise ValueError(f"model.words: {path} has not all words of {', '.join(map(repr, missing))}")
    rows = [torch.stack([vectors[word] for word in words_of(name)]).mean(0) for name in names]
    return F.normalize(torch.stack(rows), dim=1)


def read_vectors(path: str, words: Iterable[str]) -> dict[str, Tensor]:
    """The vectors of those of the words that the file has."""
    wanted, found = set(words), {}
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            word, _, rest = line.rstrip().partition(" ")
            if word not in wanted or word in found:
                continue
            try:
                found[word] = torch.tensor([float(value) for value in rest.split()])
            except ValueError as error:
                raise ValueError(f"model.words: {path}: line {number} is not a word and numbers") from error
    if len({len(vector) for vector in found.values()}) > 1:
        raise ValueError(f"model.words: {path} has vectors of several lengths")
    return found

"""Flat decisions: chunks of tags, pairs within a sentence, words kept between calls."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.stages.parse.learned import network
from relforge.stages.parse.learned.files import EMBEDDED, load_model
from relforge.stages.parse.learned.lexicon import Lexicon, ngrams
from relforge.stages.parse.learned.network import chunks, cross


def test_chunks_begin_at_b_and_go_on_at_i() -> None:
    tags = np.array([1, 2, 0, 1, 1, 2])

    assert chunks(tags, np.zeros(6), 1).tolist() == [[0, 1], [3, 3], [4, 5]]


def test_a_chunk_never_crosses_sentences_and_may_open_with_the_inner_tag() -> None:
    assert chunks(np.array([1, 2, 2]), np.array([0, 0, 1]), 1).tolist() == [[0, 1], [2, 2]]


def test_tags_of_the_other_kind_are_not_mine() -> None:
    assert chunks(np.array([3, 4, 1]), np.zeros(3), 3).tolist() == [[0, 1]]
    assert chunks(np.array([], int), np.array([], int), 1).shape == (0, 2)


def test_cross_pairs_what_shares_a_sentence() -> None:
    i, j = cross(np.array([0, 0, 2]), np.array([0, 1, 2, 2]))

    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 2), (2, 3)]


def test_letter_ngrams_are_the_same_everywhere() -> None:
    assert ngrams("cat", 1000) == ngrams("cat", 1000)
    assert ngrams("cat", 8192) != ngrams("cot", 8192)
    rows, shapes, flat, offsets = Lexicon(["cat"], 64).encode(["cat", "dog", "7", "!"])
    assert rows.tolist() == [1, 0, 0, 0]
    assert shapes.tolist() == [0, 0, 1, 2]
    assert offsets[0] == 0
    assert len(flat) > offsets[-1]


def test_forgetting_words_changes_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _ = load_model(EMBEDDED)
    forgetful, _ = load_model(EMBEDDED)
    monkeypatch.setattr(network, "MAX_CACHED_WORDS", 6)
    sentences = [s.split() for s in ("a dog on a bed", "a red kite over the sea", "a dog on a bed")]

    first, second = kept.decide(sentences), [forgetful.decide([s]) for s in sentences]

    assert first.relation[:, 2].tolist() == np.concatenate([d.relation for d in second])[:, 2].tolist()
    assert np.array_equal(first.confidence, np.concatenate([d.confidence for d in second]))

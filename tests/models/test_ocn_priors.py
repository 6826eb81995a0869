"""What OCN knows beforehand: priors of small counts, vectors of small files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relforge.models.ocn.calibration import similarity_loss
from relforge.models.ocn.priors import co_occurrence, object_prior, word_table

COUNTS = torch.tensor([[3, 1], [0, 0]])


def test_the_prior_of_a_class_is_its_share_of_each_relation_smoothed() -> None:
    seen = [(0.75 + 0.05) / 1.1, (0.25 + 0.05) / 1.1]
    expected = torch.tensor([seen, [0.5, 0.5], [0.5, 0.5]])  # a class without rows, and "no objects"
    torch.testing.assert_close(object_prior(COUNTS), expected)


def test_the_joint_prior_is_smoothed_before_classes_are_told_apart() -> None:
    counts = torch.tensor([[3, 1], [0, 4]])
    first = [(3 / 8 + 0.05) / 0.6, (1 / 8 + 0.05) / 0.6]
    second = [0.05 / 0.6, (4 / 8 + 0.05) / 0.6]
    expected = torch.tensor([first, second, [0.5, 0.5]])
    torch.testing.assert_close(object_prior(counts, joint=True), expected)


def test_relations_that_never_go_together_have_no_co_occurrence() -> None:
    counts = torch.tensor([[0, 3, 0], [3, 2, 0], [0, 0, 0]])
    expected = torch.tensor([[0.0, 1.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(co_occurrence(counts), expected)


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    """As GloVe has it, with a head line as word2vec's files have."""
    path = tmp_path / "vectors.txt"
    path.write_text("4 2\nsit 3 4\non 0 2\nhold 1 0\nno 0 5\n", encoding="utf-8")
    return str(path)


def test_a_label_has_the_mean_of_its_words_at_length_one(vectors: str) -> None:
    table = word_table(["sit_on", "Hold"], vectors)
    mean = torch.tensor([1.5, 3.0])
    torch.testing.assert_close(table, torch.stack([mean / mean.norm(), torch.tensor([1.0, 0.0])]))


def test_labels_without_vectors_are_named(vectors: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has not all words of 'sit beside', 'ride'"):
        word_table(["hold", "sit beside", "ride"], vectors)
    (tmp_path / "other.txt").write_text("hold one two\n")
    with pytest.raises(ValueError, match="line 1 is not a word and numbers"):
        word_table(["hold"], str(tmp_path / "other.txt"))


def test_similar_relations_that_go_together_cost_least() -> None:
    together = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    like = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]])
    unlike = like[[0, 2, 1]]
    assert similarity_loss(like, together) < similarity_loss(unlike, together)
    assert similarity_loss(like, together) == pytest.approx(0.0, abs=1e-3)
    assert torch.isfinite(similarity_loss(like, torch.zeros(3, 3)))

"""Models that teach another: what they say of the captions, and how it enters the targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from relforge.stages.parse.learned.files import build, load_model
from relforge.stages.parse.learned.tables import Tables
from relforge.stages.parse.triples import read_triples
from relforge.trainer.parser.align import Aligned, align_all
from relforge.trainer.parser.examples import Example, example, joined
from relforge.trainer.parser.gold import GoldCaption
from relforge.trainer.parser.lessons import Lessons, Taught
from relforge.trainer.parser.losses import loss
from relforge.trainer.parser.tables import count_tables
from relforge.trainer.parser.teach import OWN_SHARE, collect_lessons, fold
from relforge.trainer.parser.train import save_model
from relforge.trainer.parser.training_words import TrainingWords

SIZES = {"width": 16, "hidden": 12, "layers": 1, "pair": 12, "buckets": 64}
GOLD = [
    ("a man riding a red wave", "( man , ride , wave ) , ( wave , is , red )"),
    ("a dog on a red sofa", "( dog , on , sofa ) , ( sofa , is , red )"),
    ("a cat under a table", "( cat , under , table )"),
    ("a girl holding a kite", "( girl , hold , kite )"),
]


class World:
    """A few captions, twice each so that the tables have their words."""

    def __init__(self) -> None:
        pairs = [GoldCaption(caption, read_triples(graph)) for caption, graph in GOLD]
        corpus, _ = align_all([*pairs, *pairs])
        self.tables: Tables = count_tables(corpus)
        self.corpus: list[Aligned] = corpus[: len(GOLD)]
        self.vocabulary = sorted({word for aligned in self.corpus for word in aligned.words} | {"and"})
        index = {word: i for i, word in enumerate(self.vocabulary)}
        self.examples: list[Example] = [example(aligned, self.tables, index) for aligned in self.corpus]
        self.glue = [index["and"]]

    def teacher(self, folder: Path, seed: int, **card: int) -> Path:
        torch.manual_seed(seed)
        save_model(folder, *build(SIZES, self.tables), self.tables, {"sizes": SIZES, **card})
        return folder

    def collect(self, *folders: Path) -> Lessons:
        return collect_lessons(folders, self.corpus, self.examples, self.vocabulary, self.tables, 0.5)


@pytest.fixture
def world() -> World:
    return World()


def test_lessons_are_the_mean_of_the_teachers(world: World, tmp_path: Path) -> None:
    first, second = (world.teacher(tmp_path / str(seed), seed) for seed in (1, 2))

    both, one, other = world.collect(first, second), world.collect(first), world.collect(second)

    for name in ("tags", "frames", "arcs"):
        taught, *alone = (getattr(lessons, name).probabilities for lessons in (both, one, other))
        assert torch.allclose(taught, (alone[0] + alone[1]) / 2, atol=1e-6)
        assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    assert torch.allclose(both.frames.probabilities.sum(-1), torch.ones(len(both.frames.probabilities)))


def test_the_teacher_that_has_not_seen_a_caption_counts_for_more(world: World, tmp_path: Path) -> None:
    folders = [world.teacher(tmp_path / str(k), k, leave_out=k, folds=2) for k in (0, 1)]
    alone = [world.collect(folder).tags.probabilities for folder in folders]

    both = world.collect(*folders).tags.probabilities

    for aligned, e in zip(world.corpus, world.examples, strict=True):
        own = fold(aligned, 2)
        mixed = OWN_SHARE * alone[own] + (1 - OWN_SHARE) * alone[1 - own]
        assert torch.allclose(both[e.tag_rows], mixed[e.tag_rows], atol=1e-6)


def test_frames_are_those_of_the_model_that_learns(world: World, tmp_path: Path) -> None:
    folder = world.teacher(tmp_path / "t", 0)
    own = world.collect(folder).frames.probabilities
    frames = world.tables.frames
    world.tables = replace(world.tables, frames=[*frames[:2], "astride", *frames[:1:-1]])

    taught = world.collect(folder).frames.probabilities

    assert torch.equal(taught[:, :2], own[:, :2])
    assert not taught[:, 2].any()
    assert torch.equal(taught[:, 3:], own[:, 2:].flip(1))


def test_only_what_is_taught_moves_a_target() -> None:
    target = torch.tensor([[1.0, 0.0], [1.0, 0.0]])

    Taught(torch.tensor([[0.2, 0.8]]), 0.5).mix(target, torch.tensor([-1, 0]))

    assert torch.allclose(target, torch.tensor([[1.0, 0.0], [0.6, 0.4]]))


def test_joined_captions_keep_their_rows_and_the_new_pairs_have_none(world: World, tmp_path: Path) -> None:
    world.collect(world.teacher(tmp_path / "t", 0))
    left, right = world.examples[:2]

    both = joined(left, right, world.glue)

    assert both.tag_rows.tolist() == [*left.tag_rows, -1, *right.tag_rows]
    assert [len(both.tag_rows), len(both.frame_rows), len(both.arc_rows)] == [
        len(both.words),
        len(both.pairs),
        len(both.arcs),
    ]
    assert both.frame_rows[both.pairs[:, 2] > 0].tolist() == [
        *left.frame_rows[left.pairs[:, 2] > 0],
        *right.frame_rows[right.pairs[:, 2] > 0],
    ]
    across = (both.pairs[:, 0] < len(left.words)) != (both.pairs[:, 1] < len(left.words))
    assert set(both.frame_rows[across].tolist()) == {-1}


def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(world: World, tmp_path: Path) -> None:
    lessons = world.collect(world.teacher(tmp_path / "t", 0))
    whole = Lessons(*(Taught(t.probabilities, 1.0) for t in (lessons.tags, lessons.frames, lessons.arcs)))
    network, _ = load_model(tmp_path / "t")
    words, tagger = network.words, network.tagger
    lookup = TrainingWords(network.lexicon, world.vocabulary, 0.0, np.random.default_rng(0))
    batch = [e for e in world.examples if len(e.words) == 5]
    heads = (tagger.tag, tagger.frame, tagger.arc)

    def slopes(taught: Lessons | None) -> list[float]:
        tagger.zero_grad()
        vectors = words(*lookup(batch)).view(len(batch), 5, -1)
        loss(tagger, vectors, batch, 0.0, taught).backward()
        return [0.0 if head.bias.grad is None else float(head.bias.grad.abs().max()) for head in heads]

    assert slopes(whole) == pytest.approx([0, 0, 0], abs=1e-5)
    assert min(slopes(None)[:2]) > 0.01

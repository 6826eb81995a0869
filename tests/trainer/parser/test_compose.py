"""Gold captions continued by others about the same entity."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.stages.parse.triples import read_triples
from relforge.trainer.parser.align import align_all
from relforge.trainer.parser.compose import Composer, continue_with
from relforge.trainer.parser.examples import Example, example
from relforge.trainer.parser.gold import GoldCaption
from relforge.trainer.parser.tables import count_tables

GOLD = [
    ("a man riding a wave", "( man , ride , wave )"),
    ("a man on a red surfboard", "( man , on , surfboard ) , ( surfboard , is , red )"),
    ("wave near a boat", "( wave , near , boat )"),
    ("a man is tall", "( man , is , tall )"),
    ("a red dog on a man", "( dog , on , man ) , ( dog , is , red )"),
]


@pytest.fixture
def world() -> tuple[list[Example], list[str], list[str]]:
    corpus, _ = align_all([GoldCaption(caption, read_triples(graph)) for caption, graph in [*GOLD, *GOLD]])
    tables = count_tables(corpus)
    vocabulary = sorted({word for aligned in corpus for word in aligned.words})
    index = {word: i for i, word in enumerate(vocabulary)}
    return [example(aligned, tables, index) for aligned in corpus[: len(GOLD)]], vocabulary, tables.frames


def stated(found: Example, vocabulary: list[str], frames: list[str]) -> set[tuple[str, str, str]]:
    text = [vocabulary[word] for word in found.words]
    return {(text[s], frames[f], text[o]) for s, o, f, _ in found.pairs.tolist() if f > 0}


def test_the_first_thing_does_both(world: tuple[list[Example], list[str], list[str]]) -> None:
    examples, vocabulary, frames = world

    both = continue_with(examples[0], 1, examples[1])

    assert " ".join(vocabulary[word] for word in both.words) == "a man riding a wave on a red surfboard"
    assert stated(both, vocabulary, frames) == {("man", "_", "wave"), ("man", "on", "surfboard")}
    assert both.arcs[both.arcs[:, 2] == 1].tolist() == [[7, 8, 1]]
    assert len(both.pairs) == len(both.ends) * (len(both.ends) - 1)


def test_the_last_thing_takes_what_is_said_of_it(
    world: tuple[list[Example], list[str], list[str]],
) -> None:
    examples, vocabulary, frames = world

    both = continue_with(examples[0], 4, examples[2])

    assert stated(both, vocabulary, frames) == {("man", "_", "wave"), ("wave", "near", "boat")}


def test_only_captions_that_go_on_about_their_first_thing_continue_others(
    world: tuple[list[Example], list[str], list[str]],
) -> None:
    examples, vocabulary, _ = world
    composer = Composer(examples, vocabulary)
    rng = np.random.default_rng(0)

    grown = {
        " ".join(vocabulary[word] for word in composer.extend(examples[0], rng).words) for _ in range(60)
    }

    assert grown == {
        "a man riding a wave riding a wave",
        "a man riding a wave on a red surfboard",
        "a man riding a wave near a boat",
    }
    assert composer.extend(examples[3], rng) is examples[3]


def test_a_participle_may_go_on_after_a_word(world: tuple[list[Example], list[str], list[str]]) -> None:
    examples, vocabulary, frames = world
    vocabulary = [*vocabulary, "while"]
    composer = Composer([examples[0]], vocabulary)
    rng = np.random.default_rng(0)

    grown = [composer.extend(examples[0], rng) for _ in range(60)]
    texts = {" ".join(vocabulary[word] for word in e.words) for e in grown}

    assert texts == {
        "a man riding a wave",  # of the wave nothing more is known
        "a man riding a wave riding a wave",
        "a man riding a wave while riding a wave",
    }
    (linked,) = [e for e in grown if "while" in {vocabulary[word] for word in e.words}][:1]
    text = [vocabulary[word] for word in linked.words]
    pairs = [(s, o, filler) for s, o, frame, filler in linked.pairs.tolist() if frames[frame] == "_"]
    assert [(text[s], o, filler) for s, o, filler in pairs] == [("man", 4, 2), ("man", 8, 6)]
    assert linked.tags[text.index("while")] == 0
    assert len(linked.tag_rows) == len(linked.words)
    assert len(linked.frame_rows) == len(linked.pairs)

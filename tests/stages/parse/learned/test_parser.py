"""Parser `relforge` on any text: offsets, long captions, other languages, fuzz, batches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.learned.parser import LearnedParser
from relforge.stages.parse.stage import build_parser
from relforge.stages.registry import build

CAPTIONS = [
    "a man riding a brown horse",
    "two dogs and a cat sleeping on the old couch",
    "the chair is in front of the desk",
    "a woman's hand holding a phone",
    "dog",
    "",
    "a plate with a sandwich, fries and a pickle on a table next to a glass of water",
    "ein Hund liegt auf dem Sofa",
    "一只猫坐在桌子上",
]


@pytest.fixture(scope="module")
def parser() -> LearnedParser:
    parser = LearnedParser()
    parser.setup()
    return parser


def check(caption: str, graph: SceneGraph) -> None:
    """Every element points to its words."""
    for entity in graph.entities:
        assert caption[entity.start : entity.end] == entity.text
        assert entity.head
        assert entity.head in entity.text
        assert len(entity.lemma.split()) >= 1
    for relation in graph.relations:
        assert 0 <= relation.subject < len(graph.entities)
        assert 0 <= relation.object < len(graph.entities)
        assert relation.subject != relation.object
        assert relation.predicate
        assert relation.lemma
        assert relation.confidence is not None
        assert 0 < relation.confidence <= 1
        assert -1 <= relation.start <= relation.end <= len(caption)


def test_an_entity_has_its_phrase_head_lemma_and_attributes(parser: LearnedParser) -> None:
    (graph,) = parser.parse(["Two young men riding brown Horses"])

    men, horses = graph.entities
    assert (men.text, men.head, men.lemma, men.attributes) == (
        "Two young men",
        "men",
        "two young man",
        ("Two", "young"),
    )
    assert (horses.text, horses.start, horses.end) == ("brown Horses", 21, 33)
    (ride,) = graph.relations
    assert (ride.subject, ride.predicate, ride.lemma, ride.object) == (0, "riding", "ride", 1)
    assert (ride.start, ride.end) == (14, 20)


def test_a_predicate_keeps_its_preposition_and_its_wording(parser: LearnedParser) -> None:
    caption = "a girl is sitting on the bench"
    (graph,) = parser.parse([caption])

    (sit,) = graph.relations
    assert (sit.predicate, sit.lemma) == ("sitting on", "sit on")
    assert caption[sit.start : sit.end] == "sitting on"


def test_a_predicate_is_worded_as_the_caption_has_it(parser: LearnedParser) -> None:
    (graph,) = parser.parse(["a tall man lying on a wooden bench"])

    assert [relation.predicate for relation in graph.relations] == ["lying on"]


@pytest.mark.parametrize("caption", ["", " ", "...", "\x00", "🐈 🐕", "?!", "of of of of", "a" * 5000])
def test_text_without_things_is_parsed_without_failing(parser: LearnedParser, caption: str) -> None:
    (graph,) = parser.parse([caption])

    check(caption, graph)


def test_captions_far_longer_than_the_training_ones(parser: LearnedParser) -> None:
    caption = ", ".join(["a man riding a horse on the beach"] * 40)

    (graph,) = parser.parse([caption])

    check(caption, graph)
    assert len(graph.relations) >= 10


def test_a_caption_has_the_same_graph_alone_and_in_any_batch(parser: LearnedParser) -> None:
    alone = [parser.parse([caption])[0] for caption in CAPTIONS]

    assert parser.parse(CAPTIONS) == alone
    assert parser.parse(CAPTIONS[::-1]) == alone[::-1]
    others = [f"a {word} {caption}" for word in ("big", "small", "odd") for caption in CAPTIONS] * 20
    assert parser.parse([*others, *CAPTIONS])[len(others) :] == alone


def test_what_was_parsed_before_changes_nothing() -> None:
    fresh, used = LearnedParser(), LearnedParser()
    fresh.setup()
    used.setup()
    used.parse(["zzyzx quux", *CAPTIONS[::-1]])

    assert used.parse(CAPTIONS) == fresh.parse(CAPTIONS)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_gives_a_graph_that_points_into_it(parser: LearnedParser, captions: list[str]) -> None:
    graphs = parser.parse(captions)

    assert len(graphs) == len(captions)
    for caption, graph in zip(captions, graphs, strict=True):
        check(caption, graph)


_WORDS = "a the man's dog two red and on sitting holding , of in with who is by t-shirt wmoan 's 3 -"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(_WORDS.split()), max_size=25).map(" ".join))
def test_any_order_of_caption_words_gives_a_graph_that_points_into_it(
    parser: LearnedParser, caption: str
) -> None:
    check(caption, parser.parse([caption])[0])


def test_the_learned_parser_is_the_default(parser: LearnedParser) -> None:
    stage = build("parse", "relforge")

    assert type(stage.parser) is LearnedParser  # type: ignore[attr-defined]
    assert [Path(path).name for path in stage.files()] == ["parser.safetensors", "tables.json", "card.json"]


def test_a_folder_without_a_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"parser.safetensors not found; give a folder written by"):
        build_parser("relforge", model=str(tmp_path)).files()

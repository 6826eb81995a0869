"""The embedded pipeline under the published rules: equal to the package, whatever the text."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import sng_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.pipelines import EMBEDDED_PATH, load_pipeline
from relforge.stages.parse.sng import SngParser
from relforge.trainer.spacy_pipeline.caption_grammar import CaptionGrammar

WEIRD = [
    "😀 a 🐕 on a 🛹",
    "un chien court sur la plage",
    "一只猫坐在桌子上",
    "a  man\n\n riding\ta   horse ",
    "...!!!",
    "a man " * 1700,  # 10,000 characters
    "x" * 10_000,
    "the the the of of in in front of of",
]


@cache
def parser() -> SngParser:
    parser = SngParser()
    parser.setup()
    return parser


@cache
def package() -> Any:
    """The package with its own copy of the pipeline, none of our speed-ups in it."""
    return sng_parser.Parser("spacy", model=str(EMBEDDED_PATH))


def facts(graph: SceneGraph) -> tuple[list[tuple[str, str, str]], list[tuple[Any, ...]]]:
    entities = [(entity.text, entity.lemma, entity.head) for entity in graph.entities]
    return entities, [(r.subject, r.predicate, r.lemma, r.object) for r in graph.relations]


def published_facts(sentence: str) -> tuple[list[tuple[str, str, str]], list[tuple[Any, ...]]]:
    graph = package().parse(sentence)
    entities = [(entity["span"], entity["lemma_span"], entity["head"]) for entity in graph["entities"]]
    return entities, [
        (r["subject"], r["relation"], r["lemma_relation"], r["object"]) for r in graph["relations"]
    ]


def read(caption: str) -> list[tuple[str, str, str]]:
    (graph,) = parser().parse([caption])
    heads = [entity.head for entity in graph.entities]
    return [(heads[r.subject], r.predicate, heads[r.object]) for r in graph.relations]


def test_hundreds_of_captions_give_the_packages_own_graphs() -> None:
    captions = [tree.text() for tree in CaptionGrammar(seed=2024).captions(400)]

    graphs = parser().parse(captions)

    assert [facts(graph) for graph in graphs] == [published_facts(caption) for caption in captions]


@pytest.mark.parametrize("text", WEIRD, ids=range(len(WEIRD)))
def test_weird_text_gives_the_packages_own_graph(text: str) -> None:
    (graph,) = parser().parse([text])

    assert facts(graph) == published_facts(text)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_any_text_parses_to_spans_that_lie_in_it(texts: list[str]) -> None:
    graphs = parser().parse(texts)

    for text, graph in zip(texts, graphs, strict=True):
        for entity in graph.entities:
            assert text[entity.start : entity.end] == entity.text
        for relation in graph.relations:
            assert relation.start == -1 or text[relation.start : relation.end] == relation.predicate


def test_a_caption_parses_alike_in_any_batch() -> None:
    captions = [tree.text() for tree in CaptionGrammar(seed=7).captions(60)]

    assert parser().parse(captions) == [parser().parse([caption])[0] for caption in captions]


@pytest.mark.parametrize(
    ("caption", "relation"),
    [
        ("a man riding a horse on the beach", ("man", "riding", "horse")),
        ("a dog is sitting on a couch", ("dog", "on", "couch")),
        ("a cat laying next to a laptop", ("cat", "next to", "laptop")),
        ("a woman holding an umbrella", ("woman", "holding", "umbrella")),
        ("a plate of food is on the table", ("plate", "on", "table")),
        ("there is a clock on the wall", ("clock", "on", "wall")),
        ("a car is parked on the street", ("car", "on", "street")),
        ("The ball is hit by a boy.", ("boy", "hit", "ball")),
    ],
)
def test_reads_the_main_relation(caption: str, relation: tuple[str, str, str]) -> None:
    assert relation[0::2] in [found[0::2] for found in read(caption)], read(caption)


def test_lemmas_of_captions() -> None:
    (graph,) = parser().parse(["two women riding horses"])

    assert [entity.lemma for entity in graph.entities] == ["two woman", "horse"]
    assert graph.relations[0].lemma == "ride"


def test_the_pipeline_is_small_and_carries_no_training_text() -> None:
    size = sum(path.stat().st_size for path in EMBEDDED_PATH.rglob("*") if path.is_file())

    assert size < 8 * 2**20
    assert (EMBEDDED_PATH / "vocab" / "strings.json").read_text() == "[]\n"


def test_noun_chunks_work_in_plain_spacy() -> None:
    doc = load_pipeline("embedded")("a man in a red hat")

    assert [chunk.text for chunk in doc.noun_chunks] == ["a man", "a red hat"]

"""What a caption does not state leaves the graph of any parser, with or without places of its words."""

from __future__ import annotations

import pytest

from relforge.stages.parse.check import check_graph
from relforge.stages.parse.graph import Entity, Relation, SceneGraph
from relforge.stages.parse.sentences import split


def graph_of(caption: str, subject: str, predicate: str, obj: str, places: bool = True) -> SceneGraph:
    """One relation; its words are looked up in the caption where `places`."""

    def place(words: str) -> tuple[int, int]:
        at = caption.find(words) if places else -1
        return (at, at + len(words)) if at >= 0 else (-1, -1)

    entities = tuple(Entity(text, text, text.split()[-1], *place(text)) for text in (subject, obj))
    return SceneGraph(entities, (Relation(0, predicate, predicate, 1, *place(predicate)),))


def checked(caption: str, subject: str, predicate: str, obj: str, places: bool = True) -> list[str]:
    graph, _ = check_graph(caption, graph_of(caption, subject, predicate, obj, places))
    return [relation.predicate for relation in graph.relations]


def test_without_places_a_caption_that_denies_anything_states_nothing() -> None:
    denied, plain = "a man not riding a horse", "a man riding a horse"

    assert checked(denied, "man", "ride", "horse", places=False) == []
    assert checked(plain, "man", "ride", "horse", places=False) == ["ride"]


def test_normal_forms_of_a_predicate_count_as_said() -> None:
    assert checked("a man sitting on a bench", "a man", "sit on", "a bench") == ["sitting on"]


@pytest.mark.parametrize("predicate", ["have", "wear"])
def test_conventions_stay(predicate: str) -> None:
    assert checked("a man in a suit", "a man", predicate, "a suit") == [predicate]


@pytest.mark.parametrize(
    ("caption", "predicate", "obj", "said"),
    [
        ("a woman wearing a hat and behind a bench", "wearing behind", "a bench", "behind"),
        ("a man riding a bike and next to a car", "riding next to", "a car", "next to"),
        ("a man sitting on a chair at a table", "sitting at", "a table", "sitting at"),
    ],
)
def test_a_preposition_after_and_is_none_of_the_verbs(
    caption: str, predicate: str, obj: str, said: str
) -> None:
    subject = " ".join(caption.split()[:2])
    verb = predicate.split()[0]
    start = caption.index(verb)
    ends = [
        Entity(text, text, text.split()[-1], caption.index(text), caption.index(text) + len(text))
        for text in (subject, obj)
    ]
    relation = Relation(0, predicate, predicate, 1, start, start + len(verb))

    graph, _ = check_graph(caption, SceneGraph(tuple(ends), (relation,)))

    assert [found.predicate for found in graph.relations] == [said]


def test_a_verb_gets_the_preposition_that_leads_to_its_object() -> None:
    assert checked("a woman waiting for the bus", "a woman", "waiting", "the bus") == ["waiting for"]


def test_what_the_caption_does_not_say_goes_and_is_counted() -> None:
    caption = "a cup of coffee"

    graph, dropped = check_graph(caption, graph_of(caption, "coffee", "in", "a cup"))

    assert graph.relations == ()
    assert dropped == {"unstated_predicate": 1}


@pytest.mark.parametrize(
    ("caption", "relation", "said"),
    [
        ("a man getting ready to hit a ball", ("a man", "hit", "a ball"), ["getting ready to hit"]),
        ("a man not only riding a horse", ("a man", "riding", "a horse"), ["riding"]),
        ("a man without a hat", ("a man", "without", "a hat"), []),
        ("nobody riding a horse", ("nobody", "riding", "a horse"), []),
    ],
)
def test_what_is_meant_denied_or_stressed(
    caption: str, relation: tuple[str, str, str], said: list[str]
) -> None:
    assert checked(caption, *relation) == said


def test_a_quantity_is_no_thing_and_a_repetition_no_second_relation() -> None:
    caption = "a couple of dogs"
    assert check_graph(caption, graph_of(caption, "a couple", "of", "dogs"))[1] == {"quantity": 1}

    one = graph_of("a man riding a horse", "a man", "riding", "a horse")
    graph, dropped = check_graph("a man riding a horse", SceneGraph(one.entities, one.relations * 2))
    assert (len(graph.relations), dropped) == (1, {"repeated": 1})


@pytest.mark.parametrize(
    ("caption", "parts"),
    [
        ("a dog. a cat", ["a dog. ", "a cat"]),
        ("a sign for st. louis", ["a sign for st. louis"]),
        ("mr. bean rides 3.5 miles", ["mr. bean rides 3.5 miles"]),
        ("what a dog! it runs", ["what a dog! ", "it runs"]),
        ("", [""]),
    ],
)
def test_captions_are_cut_at_the_ends_of_sentences(caption: str, parts: list[str]) -> None:
    found, long = split(caption)

    assert ([text for _, text in found], long) == (parts, 0)
    assert all(caption[at:].startswith(text) for at, text in found)

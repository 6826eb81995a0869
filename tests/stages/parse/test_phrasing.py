"""Relations in words that read rightly from subject to object, and possession that nothing states."""

from __future__ import annotations

import pytest

from relforge.stages.parse.check import check_graph
from relforge.stages.parse.graph import Entity, Relation, SceneGraph


def checked(
    caption: str, subject: str, words: str, obj: str, predicate: str = "", lemma: str = ""
) -> Relation | None:
    """One relation, whose words are looked up in the caption; what is left of it after the check."""

    def entity(text: str) -> Entity:
        return Entity(text, text, text.split()[-1], caption.index(text), caption.index(text) + len(text))

    start = caption.find(words) if words else -1
    end = start + len(words) if words else -1
    relation = Relation(0, predicate or words, lemma or predicate or words, 1, start, end, 0.8)
    graph, _ = check_graph(caption, SceneGraph((entity(subject), entity(obj)), (relation,)))
    return graph.relations[0] if graph.relations else None


@pytest.mark.parametrize(
    ("caption", "relation", "said"),
    [
        ("a bear surrounded by birds", ("birds", "surrounded", "bear", "", "surround"), "surrounding"),
        ("a ball is held by a girl", ("girl", "held", "ball", "", "hold"), "holding"),
        ("a cake covered with chocolate", ("chocolate", "covered", "cake", "", "cover"), "covering"),
        ("a girl held a ball", ("girl", "held", "ball", "", "hold"), "held"),
    ],
)
def test_a_passive_is_turned_to_its_subject(caption: str, relation: tuple[str, ...], said: str) -> None:
    found = checked(caption, *relation)

    assert found is not None
    assert (found.predicate, found.lemma) == (said, relation[4])


@pytest.mark.parametrize(
    ("caption", "relation", "said"),
    [
        (
            "a boy doing a trick with his skateboard",
            ("boy", "trick with", "skateboard"),
            ("doing a trick with", "do trick with"),
        ),
        (
            "a man performs skateboard tricks on a rail",
            ("man", "tricks on", "rail", "", "trick on"),
            ("performs skateboard tricks on", "perform skateboard trick on"),
        ),
        ("a man having a rest on a bench", ("man", "on", "bench"), ("on", "on")),
        (
            "a man doing his best and sitting on a bench",
            ("man", "sitting on", "bench", "", "sit on"),
            ("sitting on", "sit on"),
        ),
    ],
)
def test_what_is_done_is_stated_with_its_verb(
    caption: str, relation: tuple[str, ...], said: tuple[str, str]
) -> None:
    found = checked(caption, *relation)

    assert found is not None
    assert (found.predicate, found.lemma) == said
    assert caption[found.start : found.end] == said[0]


@pytest.mark.parametrize(
    ("caption", "subject", "obj", "confidence"),
    [
        ("white cabinets oven sink", "oven", "sink", 0.4),
        ("some people a bench some grass", "people", "bench", 0.4),
        ("a bus wheel", "bus", "wheel", 0.4),
        ("a kitchen has an oven and a sink", "kitchen", "sink", 0.8),
        ("a kitchen with an oven and a sink", "kitchen", "sink", 0.8),
        ("the dog's collar", "dog", "collar", 0.8),
        ("the handle of a cup", "cup", "handle", 0.8),
        ("a cat licks its paw", "cat", "paw", 0.8),
    ],
)
def test_a_have_that_no_word_states_is_believed_half(
    caption: str, subject: str, obj: str, confidence: float
) -> None:
    found = checked(caption, subject, "", obj, "have")

    assert found is not None
    assert found.confidence == pytest.approx(confidence)


def test_a_relation_ends_where_another_statement_begins() -> None:
    caption = "a woman waiting in the road until two horses pass"

    assert checked(caption, "woman", "waiting in", "two horses") is None
    assert checked(caption, "woman", "waiting in", "road") is not None

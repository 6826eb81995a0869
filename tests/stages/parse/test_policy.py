"""The predicate policy: wording, collapsing, stop-predicates."""

from __future__ import annotations

import pyarrow as pa
import pytest

from relforge.stages.parse.graph import Entity, Relation, SceneGraph
from relforge.stages.parse.policy import PredicatePolicy, collapse
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS


def graph(*relations: tuple[str, str]) -> SceneGraph:
    ends = (Entity("a man", "a man", "man", attributes=("tall",)), Entity("a bench", "a bench", "bench"))
    return SceneGraph(ends, tuple(Relation(0, predicate, lemma, 1) for predicate, lemma in relations))


def predicates(given: SceneGraph, **policy: object) -> list[tuple[str, str]]:
    worded, _ = PredicatePolicy(**policy).apply(given)  # type: ignore[arg-type]
    return [(relation.predicate, relation.lemma) for relation in worded.relations]


def test_the_surface_is_kept_by_default() -> None:
    given = graph(("sitting on", "sit on"))

    assert PredicatePolicy().apply(given)[0] is given


def test_the_lemma_makes_one_label_of_all_verb_forms() -> None:
    given = graph(("holds", "hold"), ("holding", "hold"), ("held", "hold"))

    assert {predicate for predicate, _ in predicates(given, form="lemma")} == {"hold"}


@pytest.mark.parametrize(
    ("predicate", "lemma", "expected"),
    [
        ("sits on", "sit on", "sitting on"),
        ("ride", "ride", "riding"),
        ("lies on", "lie on", "lying on"),
        ("carries", "carry", "carrying"),
        ("held by", "hold by", "held by"),
        ("perched on", "perch on", "perched on"),
        ("has", "have", "has"),
        ("in front of", "in front of", "in front of"),
        ("lies on", "lay on", "lying on"),
    ],
)
def test_the_present_tense_becomes_progressive(predicate: str, lemma: str, expected: str) -> None:
    assert predicates(graph((predicate, lemma)), form="progressive") == [(expected, lemma)]


@pytest.mark.parametrize(
    ("predicate", "lemma", "expected"),
    [
        ("ridden", "ride", "riding"),
        ("held", "hold", "holding"),
        ("riding", "ride", "riding"),
        ("had", "have", "had"),
        ("on", "on", "on"),
        ("left of", "left of", "left of"),
    ],
)
def test_a_passive_that_was_turned_round_is_what_its_subject_does(predicate, lemma, expected) -> None:
    # "a horse ridden by a man"
    ends = Entity("a man", "a man", "man", 18, 23), Entity("a horse", "a horse", "horse", 0, 7)
    said = Relation(0, predicate, lemma, 1, 8, 8 + len(predicate))
    turned, straight = SceneGraph(ends, (said,)), SceneGraph(ends[::-1], (said,))

    assert predicates(turned, form="progressive") == [(expected, lemma)]
    assert predicates(straight, form="progressive")[0][0] == predicate


@pytest.mark.parametrize(
    ("predicate", "lemma", "expected"),
    [
        ("sleeping near", "sleep near", ("near", "near")),
        ("standing in front of", "stand in front of", ("in front of", "in front of")),
        ("looking at", "look at", ("looking at", "look at")),
        ("holding", "hold", ("holding", "hold")),
        ("on top of", "on top of", ("on top of", "on top of")),
    ],
)
def test_collapsing_leaves_the_preposition_and_phrasal_verbs(
    predicate: str, lemma: str, expected: tuple[str, str]
) -> None:
    assert collapse(predicate, lemma, phrasal=lambda verb: verb == "look at") == expected


def test_phrasal_verbs_are_those_the_published_parser_lists() -> None:
    given = graph(("sitting on", "sit on"), ("sleeping near", "sleep near"))

    assert predicates(given, prepositions="collapsed") == [("sitting on", "sit on"), ("near", "near")]


def test_stop_predicates_are_dropped_and_counted_and_attributes_stay() -> None:
    worded, dropped = PredicatePolicy(stop=["Have"]).apply(graph(("has", "have"), ("on", "on")))

    assert [relation.predicate for relation in worded.relations] == ["on"]
    assert dropped == {"stop_predicate": 1}
    assert worded.entities[0].attributes == ("tall",)


def test_relations_below_the_confidence_are_dropped_and_those_without_a_confidence_stay() -> None:
    ends = graph().entities
    given = SceneGraph(ends, (Relation(0, "on", "on", 1, confidence=0.3), Relation(0, "by", "by", 1)))

    worded, dropped = PredicatePolicy(min_confidence=0.5).apply(given)

    assert [relation.predicate for relation in worded.relations] == ["by"]
    assert dropped == {"low_confidence": 1}


def test_a_predicate_without_words_is_dropped_under_its_own_reason() -> None:
    assert PredicatePolicy().apply(graph(("", "")))[1] == {"empty_predicate": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"predicate_form": "stem"},
            r"parse.predicate_form: 'stem' is not one of surface, progressive, lemma",
        ),
        ({"prepositions": "gone"}, r"parse.prepositions: 'gone' is not one of kept, collapsed"),
        ({"min_confidence": 5}, r"parse.min_confidence: 5 is not between 0 and 1"),
        ({"stop_predicates": "have"}, r"give a list of predicates, e.g. \[have\]"),
    ],
)
def test_a_wrong_option_names_field_and_fix(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("parse", "relforge", **options)


def test_the_stage_counts_dropped_relations_once_per_caption() -> None:
    stage = build("parse", "relforge", predicate_form="lemma", stop_predicates=["ride"])
    stage.setup()
    rows = [
        dict.fromkeys(SCHEMAS["captions"].names)
        | {"image_id": image, "caption_id": 0, "text": "a man riding a horse", "source": "import"}
        for image in ("1", "2")
    ]

    result = stage.process({"captions": pa.Table.from_pylist(rows, SCHEMAS["captions"])})

    assert result.tables["triplets"].num_rows == 0
    assert result.kept == 2
    assert result.notes["dropped_relations"] == {"stop_predicate": 2}
    assert result.notes["without_relation"] == 2

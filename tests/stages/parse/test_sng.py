"""Parser `sng_parser`: the package's own graphs, in batches and with character offsets."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from relforge.stages.parse.sng import SngParser

# token, part of speech, head, label
PARSED = {
    "A man riding a big horse": [
        ("a", "DET", 1, "det"),
        ("man", "NOUN", 1, "ROOT"),
        ("ride", "VERB", 1, "acl"),
        ("a", "DET", 5, "det"),
        ("big", "ADJ", 5, "amod"),
        ("horse", "NOUN", 2, "dobj"),
    ],
    "cats next to cups and plates": [
        ("cat", "NOUN", 0, "ROOT"),
        ("next", "ADV", 0, "advmod"),
        ("to", "ADP", 1, "prep"),
        ("cup", "NOUN", 2, "pobj"),
        ("and", "CCONJ", 3, "cc"),
        ("plate", "NOUN", 3, "conj"),
    ],
    "dogs in front of a hot dog": [
        ("dog", "NOUN", 0, "ROOT"),
        ("in", "ADP", 0, "prep"),
        ("front", "NOUN", 1, "pobj"),
        ("of", "ADP", 2, "prep"),
        ("a", "DET", 6, "det"),
        ("hot", "ADJ", 6, "compound"),
        ("dog", "NOUN", 3, "pobj"),
    ],
}


@Language.component("relforge_test_annotations")
def annotate(doc: Doc) -> Doc:
    """In place of a trained pipeline: reads the parse off `PARSED`."""
    for token, (lemma, pos, head, dep) in zip(doc, PARSED[doc.text], strict=True):
        token.lemma_, token.pos_, token.dep_, token.head = lemma, pos, dep, doc[head]
    return doc


@pytest.fixture
def parser(tmp_path: Path) -> SngParser:
    nlp = spacy.blank("en")
    nlp.add_pipe("relforge_test_annotations", name="parser")
    nlp.to_disk(tmp_path)
    parser = SngParser(str(tmp_path))
    parser.setup()
    return parser


def relations(parser: SngParser, caption: str) -> list[tuple[str, str, str]]:
    (graph,) = parser.parse([caption])
    return [
        (graph.entities[r.subject].text, caption[r.start : r.end], graph.entities[r.object].text)
        for r in graph.relations
    ]


def test_offsets_cut_the_phrases_out_of_the_caption(parser: SngParser) -> None:
    caption = "A man riding a big horse"

    (graph,) = parser.parse([caption])

    man, horse = graph.entities
    assert (man.text, man.lemma, man.head) == ("A man", "a man", "man")
    assert caption[horse.start : horse.end] == horse.text == "a big horse"
    assert horse.attributes == ("big",)
    (relation,) = graph.relations
    assert (relation.predicate, relation.lemma) == ("riding", "ride")
    assert caption[relation.start : relation.end] == "riding"


def test_a_predicate_of_several_words_keeps_its_span(parser: SngParser) -> None:
    assert relations(parser, "dogs in front of a hot dog") == [("dogs", "in front of", "a hot dog")]


def test_conjuncts_share_the_predicate(parser: SngParser) -> None:
    assert relations(parser, "cats next to cups and plates") == [
        ("cats", "next to", "cups"),
        ("cats", "next to", "plates"),
    ]


def test_a_compound_head_keeps_its_words(parser: SngParser) -> None:
    (graph,) = parser.parse(["dogs in front of a hot dog"])

    assert graph.entities[-1].head == "hot dog"


def test_parsing_before_setup_is_a_programming_error() -> None:
    with pytest.raises(RuntimeError, match="before setup"):
        SngParser().parse(["a cat on a mat"])

"""Gold graphs tied to the words of their captions."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.learned.parse import Parse
from relforge.stages.parse.triples import read_triples
from relforge.trainer.parser.align import Associations, align, align_all
from relforge.trainer.parser.gold import GoldCaption, read_gold
from relforge.trainer.parser.scores import triples
from relforge.trainer.parser.tables import count_tables


def aligned(caption: str, graph: str):
    return align(GoldCaption(caption, read_triples(graph)), Associations())


def test_a_verb_with_its_preposition_is_a_frame_filled_by_the_verb() -> None:
    found = aligned("a girl sitting on a bench", "( girl , sit on , bench )")

    assert found.relations == {((1, 1), (5, 5)): ("_ on", 2, "sit")}
    assert found.lost == []


def test_coordinated_subjects_share_the_verb() -> None:
    found = aligned("a man and woman riding horses", "( man , ride , horses ) , ( woman , ride , horses )")

    assert {pair: value[1] for pair, value in found.relations.items()} == {
        ((1, 1), (5, 5)): 4,
        ((3, 3), (5, 5)): 4,
    }


def test_a_predicate_the_caption_does_not_spell_is_a_frame_without_a_filler() -> None:
    found = aligned("the man 's hat", "( man , have , hat )")

    assert found.relations == {((1, 1), (4, 4)): ("have", -1, "")}


def test_attributes_belong_to_the_nearest_noun_and_counts_are_numbers() -> None:
    found = aligned("two red cups", "( cups , is , 2 ) , ( cups , is , red )")

    assert found.attributes == {((0, 0), (2, 2)): "2", ((1, 1), (2, 2)): "red"}


def test_an_attribute_without_a_word_is_implied() -> None:
    assert aligned("feet of a bird", "( feet , is , 2 ) , ( bird , have , feet )").implied == {((0, 0), "2")}


def test_longer_names_claim_their_words_first() -> None:
    found = aligned("bed spread on a bed", "( bed spread , on , bed )")

    assert found.entities == {(0, 1): "bed spread", (4, 4): "bed"}


@pytest.mark.parametrize(
    ("caption", "name"), [("a cell phone", "cellphone"), ("a tee-shirt", "teeshirt"), ("a frisbe", "frisbee")]
)
def test_other_spellings_are_recognised(caption: str, name: str) -> None:
    assert list(aligned(caption, f"( {name} )").entities.values()) == [name]


def test_stand_ins_are_learnt_from_the_corpus() -> None:
    corpus = [
        GoldCaption(f"a guy on a {thing}", read_triples(f"( person , on , {thing} )")) for thing in "abcdef"
    ]

    found, _ = align_all(corpus)

    assert found[0].entities[(1, 1)] == "person"
    assert count_tables(found).names["guy"] == "person"


def test_what_cannot_be_tied_is_named() -> None:
    assert aligned("two buses side by side", "( bus , next to , bus )").lost == [("bus", "next to", "bus")]


@pytest.mark.parametrize(
    ("form", "lemma"),
    [
        ("sitting", "sit"), ("riding", "ride"), ("holding", "hold"), ("carries", "carry"),
        ("covered", "cover"),
        ("parked", "park"), ("stood", "stand"), ("watches", "watch"), ("rolling", "roll"), ("lying", "lie"),
        ("hanging", "hang"), ("driving", "drive"), ("playing", "play"), ("hit", "hit"), ("dressed", "dress"),
        ("using", "use"), ("leaning", "lean"), ("placed", "place"), ("skiing", "ski"), ("swimming", "swim"),
    ],
)  # fmt: skip
def test_verb_forms_have_the_right_dictionary_form_first(form: str, lemma: str) -> None:
    assert verb_lemmas(form)[0] == lemma


def test_a_gold_file_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("caption,graph\na,b\n")

    with pytest.raises(ValueError, match=r"gold.csv: no column scene_graph"):
        read_gold(path)


def test_nine_in_ten_gold_graphs_survive_alignment(shared) -> None:
    corpus = read_gold(shared("data/factual/random_dev.csv"))

    found, _ = align_all(corpus)
    tables = count_tables(found)

    whole = 0
    for pair, one in zip(corpus, found, strict=True):
        spans = sorted(one.entities)
        number = {span: i for i, span in enumerate(spans)}
        parse = Parse(
            one.words,
            spans,
            [(span, number[owner]) for span, owner in one.attributes],
            [(number[owner], text) for owner, text in one.implied],
            [
                (number[s], number[o], frame, filler, 1.0)
                for (s, o), (frame, filler, _) in one.relations.items()
            ],
        )
        whole += triples(parse, tables) == pair.triples
    assert whole / len(corpus) > 0.9

"""Captions from the field: markup, length, several sentences."""

from __future__ import annotations

import pytest

RIDING = ("man", "riding", "horse")


@pytest.mark.parametrize(
    "caption",
    [
        "a man&nbsp;riding&nbsp;a horse",
        "a man &amp; a woman riding a horse",
        "<b>a man</b> riding a horse",
        "a man rid\u0301ing a horse",
        "a man riding a hor\u00adse",
        "\u201ca man\u201d riding a \u2018horse\u2019",
        "a man riding a horse\u2028a dog on a sofa",
        "a man riding a horse<br>a dog on a sofa",
    ],
)
def test_markup_hides_no_word_and_makes_none(case, caption) -> None:
    case.images("1.jpg")
    case.write("captions.json", {"1": [caption]})

    assert case.run().code == 0
    found = {row[1:] for row in case.triplets()}
    assert RIDING in found
    assert found <= {RIDING, ("woman", "riding", "horse"), ("dog", "on", "sofa")}
    assert case.sidecar("captions")["notes"]["cleaned"]


def test_words_beyond_the_hundred_and_twentieth_count(case) -> None:
    case.images("1.jpg")
    story = "this is a long story about the weather and the town . "
    case.write("captions.json", {"1": [story * 12 + "a man riding a horse"]})

    assert case.run().code == 0
    assert RIDING in {row[1:] for row in case.triplets()}
    assert case.related() == {"1"}


def test_a_sentence_too_long_to_be_parsed_whole_is_parsed_in_parts_and_counted(case) -> None:
    case.images("1.jpg")
    case.write("captions.json", {"1": ["a long road " * 60 + "and a man riding a horse"]})

    assert case.run().code == 0
    assert RIDING in {row[1:] for row in case.triplets()}
    assert case.sidecar("triplets")["notes"]["parsed_in_parts"] == 1


def test_what_a_caption_denies_is_counted_and_no_relation(case) -> None:
    case.images("1.jpg", "2.jpg")
    case.write("captions.json", {"1": ["a man not riding a horse"], "2": ["a man riding a horse"]})

    assert case.run().code == 0
    assert case.related() == {"2"}
    assert case.sidecar("triplets")["notes"]["dropped_relations"] == {"denied": 1}


def test_the_compat_profile_takes_graphs_as_the_parser_gives_them(case) -> None:
    case.images("1.jpg")
    case.write("captions.json", {"1": ["a man not riding a horse"]})

    assert case.run("run.profile=compat").code == 0
    assert RIDING in {row[1:] for row in case.triplets()}

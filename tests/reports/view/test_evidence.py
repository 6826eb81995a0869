"""The words highlighted in a caption."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from relforge.reports.view.evidence import Names, spans
from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.vocabulary import Vocabulary

TEXT = "a man riding a horse and a woman riding a bike"
NAMES = Names(
    PhraseMatcher(
        Vocabulary({"person": ["man", "woman"], "horse": ["horse"], "bicycle": ["bike"]}),
        ["person", "horse", "bicycle"],
    )
)


def triplet(subject: str, predicate: str, object_: str, text: str = TEXT) -> dict[str, Any]:
    """A row of `triplets`, located in the text from the subject on."""
    row: dict[str, Any] = {"subject": subject, "predicate": predicate, "object": object_}
    end = 0
    for role, words in list(row.items()):
        start = text.index(words, text.index(subject) if role == "subject" else end)
        end = start + len(words)
        row |= {
            f"{role}_start": start,
            f"{role}_end": end,
            f"{role}_head": words.split()[-1],
            f"{role}_lemma": words,
        }
    return row


RIDERS = [triplet("a man", "riding", "a horse"), triplet("a woman", "riding", "a bike")]


def test_of_two_triplets_with_the_predicate_the_one_that_fits_the_classes_counts() -> None:
    found = spans(TEXT, RIDERS, "riding", ("person", "bicycle"), NAMES)

    assert [(TEXT[start:end], role) for start, end, role in found] == [
        ("a woman", "subject"),
        ("riding", "predicate"),
        ("a bike", "object"),
    ]


def test_without_synonyms_every_triplet_with_the_predicate_counts() -> None:
    assert len(spans(TEXT, RIDERS, "riding", ("person", "bicycle"), Names(None))) == 6


def test_a_parser_without_offsets_highlights_nothing() -> None:
    unplaced = {**RIDERS[0], **{f"{role}_start": None for role in ("subject", "predicate", "object")}}

    assert spans(TEXT, [unplaced], "riding", ("person", "horse"), NAMES) == []


def test_places_count_as_javascript_counts_them() -> None:
    text = "😀 a man riding a horse"

    found = spans(text, [triplet("a man", "riding", "a horse", text)], "riding", ("person", "horse"), NAMES)

    assert found[0] == (3, 8, "subject")


def test_overlapping_words_are_highlighted_once() -> None:
    twice = [RIDERS[0], {**RIDERS[0], "subject_end": 12}]

    found = spans(TEXT, twice, "riding", ("person", "horse"), NAMES)

    assert all(first[1] <= second[0] for first, second in pairwise(found))

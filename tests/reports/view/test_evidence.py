"""The words highlighted in the captions behind a relation: those of the triplets that the row names."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from relforge.reports.view.evidence import find_evidence, find_spans, triplets_by_key

TEXT = "a man riding a horse and a woman riding a bike"


def triplet(
    subject: str, predicate: str, object_: str, text: str = TEXT, key: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """A row of `triplets`, located in the text from the subject on."""
    row: dict[str, Any] = {"subject": subject, "predicate": predicate, "object": object_}
    end = 0
    for role, words in list(row.items()):
        start = text.index(words, text.index(subject) if role == "subject" else end)
        end = start + len(words)
        row |= {f"{role}_start": start, f"{role}_end": end}
    return row | {"caption_id": key[0], "triplet_id": key[1]}


MAN_ON_HORSE = triplet("a man", "riding", "a horse", key=(3, 0))
WOMAN_ON_BIKE = triplet("a woman", "riding", "a bike", key=(3, 1))
TRIPLETS = triplets_by_key([MAN_ON_HORSE, WOMAN_ON_BIKE])


def relation(*keys: tuple[int, int], captions: tuple[int, ...] = (3,)) -> dict[str, Any]:
    """The evidence columns of a relation."""
    named = [{"caption_id": caption, "triplet_id": number} for caption, number in keys]
    return {"caption_ids": list(captions), "triplet_ids": named}


def words(text: str, found: list[tuple[int, int, str]]) -> list[tuple[str, str]]:
    return [(text[start:end], role) for start, end, role in found]


def test_the_triplets_that_the_row_names_are_marked_and_no_others() -> None:
    ((caption, found),) = find_evidence(relation((3, 1)), {3: TEXT}, TRIPLETS)

    assert caption == 3
    assert words(TEXT, found) == [("a woman", "subject"), ("riding", "predicate"), ("a bike", "object")]


def test_a_caption_that_says_it_twice_is_marked_twice() -> None:
    ((_, found),) = find_evidence(relation((3, 0), (3, 1)), {3: TEXT}, TRIPLETS)

    assert len(found) == 6


def test_an_imported_relation_shows_its_captions_without_marks() -> None:
    assert find_evidence(relation(captions=(3,)), {3: TEXT}, TRIPLETS) == [(3, [])]


def test_a_run_from_before_triplet_ids_shows_its_captions_without_marks() -> None:
    older = relation() | {"triplet_ids": None}  # how a column that a file lacks is read

    assert find_evidence(older, {3: TEXT}, TRIPLETS) == [(3, [])]


def test_captions_and_triplets_that_are_gone_are_left_out() -> None:
    assert find_evidence(relation((3, 9), (5, 0), captions=(3, 5)), {3: TEXT}, TRIPLETS) == [(3, [])]


def test_a_parser_without_offsets_highlights_nothing() -> None:
    unplaced = {**MAN_ON_HORSE, **{f"{role}_start": None for role in ("subject", "predicate", "object")}}

    assert find_spans(TEXT, [unplaced]) == []


def test_places_count_as_javascript_counts_them() -> None:
    text = "😀 a man riding a horse"

    assert find_spans(text, [triplet("a man", "riding", "a horse", text)])[0] == (3, 8, "subject")


def test_overlapping_words_are_highlighted_once() -> None:
    found = find_spans(TEXT, [MAN_ON_HORSE, {**MAN_ON_HORSE, "subject_end": 12}])

    assert all(first[1] <= second[0] for first, second in pairwise(found))


def test_offsets_beyond_the_caption_are_ignored() -> None:
    assert find_spans("a man", [MAN_ON_HORSE]) == [(0, 5, "subject")]

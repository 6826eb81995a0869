"""The captions that state a relation, and the words in them that do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

ROLES = ("subject", "predicate", "object")

Row = Mapping[str, Any]
TripletKey = tuple[int, int]
"""caption_id and triplet_id: a triplet of one image."""
Span = tuple[int, int, str]
"""[start, end) in UTF-16 units of the caption (JavaScript's), and a role."""


def triplets_by_key(rows: Iterable[Row]) -> dict[TripletKey, Row]:
    """Rows of `triplets` of one image, by their ids."""
    return {(row["caption_id"], row["triplet_id"]): row for row in rows}


def find_evidence(
    relation: Row, texts: Mapping[int, str], triplets: Mapping[TripletKey, Row]
) -> list[tuple[int, list[Span]]]:
    """Where the captions of an image state one relation.

    Args:
        relation: row of `relations`, `scores` or `candidates`. Its `triplet_ids` name what to highlight; an
            imported relation, and a run of an older version, has none, so its captions stay unmarked.
        texts: caption_id -> text.
        triplets: of the same image.

    Returns:
        caption_id and `spans`, for each caption that the relation names and the run still has.
    """
    stated: dict[int, list[Row]] = defaultdict(list)
    for key in relation.get("triplet_ids") or ():
        if triplet := triplets.get((key["caption_id"], key["triplet_id"])):
            stated[key["caption_id"]].append(triplet)
    captions = (number for number in relation["caption_ids"] or () if number in texts)
    return [(number, find_spans(texts[number], stated[number])) for number in captions]


def find_spans(text: str, triplets: Iterable[Row]) -> list[Span]:
    """What to highlight in one caption.

    Args:
        text: the caption.
        triplets: rows of `triplets`, parsed from it.

    Returns:
        spans in order, none overlapping; empty where the parser gives no offsets.
    """
    found: list[Span] = []
    for one in triplets:
        for role in ROLES:
            start, end = one[f"{role}_start"], one[f"{role}_end"]
            if start is not None and end is not None and 0 <= start < end <= len(text):
                found.append((_utf16_length(text[:start]), _utf16_length(text[:end]), role))
    return _without_overlaps(found)


def _utf16_length(text: str) -> int:
    """Length as JavaScript counts it: astral characters (emoji) are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _without_overlaps(found: list[Span]) -> list[Span]:
    """In order of place; of overlapping spans the earlier, then the longer one."""
    kept: list[Span] = []
    for start, end, role in sorted(set(found), key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end, role))
    return kept

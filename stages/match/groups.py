"""Candidates of one image in the published grouping, for runs that must equal released files.

The published tagger reads `[[pairs, texts], ...]`: pairs in lexicographic order, each repeated once per
matching text, cut into groups of 100, and one more group that is empty whenever the count is a multiple
of 100 (so an image without candidates has one empty group). Texts of a group are its distinct texts in
first-seen order.
"""

from __future__ import annotations

from collections.abc import Sequence

GROUP_PAIRS = 100

Group = tuple[list[tuple[int, int]], list[str]]


def published_groups(candidates: Sequence[tuple[int, int, str, int]], size: int = GROUP_PAIRS) -> list[Group]:
    """Groups of one image.

    Args:
        candidates: (subject, object, predicate, position) rows of one image, in any order; `position` as
            in the `candidates` table.
        size: pairs in a group.

    Returns:
        `len(candidates) // size + 1` groups of (pairs, texts), the last one possibly empty.
    """
    ordered = sorted(candidates, key=lambda row: (row[0], row[1], row[3]))
    groups: list[Group] = []
    for start in range(0, len(ordered) + 1, size):
        rows = ordered[start : start + size]
        groups.append(([row[:2] for row in rows], list(dict.fromkeys(row[2] for row in rows))))
    return groups

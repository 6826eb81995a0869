"""Whether a caption states that one thing has another.

Scene graphs write "person finger", "a plate of food" and "the dog's collar" with one predicate, `have`. A
learned parser therefore also finds it between things that only stand side by side in the caption ("oven
sink", "some people a bench"), where it is seldom a relation that an image shows.
"""

from __future__ import annotations

from relforge.stages.parse.caption_text import CaptionText, Span

UNSTATED_SHARE = 0.5
"""What is left of the confidence of a `have` that no word states."""

_STATING = """
has have having had with of its his her their whose own 's ' containing contains contain featuring features
including includes filled full
"""
_STATING_WORDS = frozenset(_STATING.split())


def is_stated(text: CaptionText, subject: Span | None, obj: Span | None) -> bool:
    """Whether a word from one of the two to the other states possession; true where a place is unknown."""
    if subject is None or obj is None:
        return True
    left, right = sorted((subject, obj))
    return any(
        word in _STATING_WORDS or word.endswith(("'s", "s'")) for word in text.words[left[1] : right[0]]
    )

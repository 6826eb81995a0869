"""Which mentions are things of the scene: quantities denote what they count, depicted ones are none."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.match.phrases import QUANTITY_NOUNS
from relforge.stages.match.words import singular
from relforge.stages.parse.caption_text import ARTICLES, DEFINITE, CaptionText, Span

_ART = """
statue sculpture figurine figure bust carving engraving painting drawing sketch cartoon illustration mural
poster portrait replica cutout cut-out print logo tattoo decal sticker reflection shadow doll puppet balloon
costume mask model
"""
_PHOTO = "picture photo photograph image pic snapshot"
ART, PHOTO = frozenset(_ART.split()), frozenset(_PHOTO.split())


def find_counted(text: CaptionText, spans: Sequence[Span | None]) -> dict[int, int]:
    """Entities that count others -> what they count: "a couple" -> "dogs" in "a couple of dogs"."""
    first = {span[0]: k for k, span in enumerate(spans) if span}
    found = {}
    for k, span in enumerate(spans):
        if span and singular(text.words[span[1]]) in QUANTITY_NOUNS:
            after = span[1] + 1
            counted = first.get(after + 1)
            if counted is not None and text.words[after] == "of":
                found[k] = counted
    return found


def find_depicted(text: CaptionText, spans: Sequence[Span | None]) -> set[int]:
    """Entities that follow "a statue of", "a painting of" and the like.

    "a photo of" at the beginning of a caption speaks of the image itself and depicts nothing.
    """
    found = set()
    for k, span in enumerate(spans):
        if span is None:
            continue
        at = span[0] - 1
        while at >= 0 and text.words[at] in ARTICLES:
            at -= 1
        if at < 1 or text.words[at] != "of":
            continue
        kind = singular(text.words[at - 1])
        if kind in ART or (kind in PHOTO and any(s and s[1] < at - 1 for s in spans)):
            found.add(k)
    return found


def are_one(text: CaptionText, first: Span | None, second: Span | None) -> bool:
    """Whether two mentions are of one thing: they overlap, or the later one takes up the earlier ("a dog ...
    the dog")."""
    if first is None or second is None:
        return False
    earlier, later = sorted((first, second))
    if later[0] <= earlier[1]:
        return True
    words = [list(text.words[a : b + 1]) for a, b in (earlier, later)]
    if words[1][0] not in DEFINITE:
        return False
    bare = [w[1:] if w[0] in ARTICLES | DEFINITE else w for w in words]
    return bare[0] == bare[1] and bool(bare[0])

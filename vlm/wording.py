"""Words for the two ends of a pair: articles, and which one is meant."""

from __future__ import annotations

from relforge.vlm.frame import XYWH, Frame


def name_pair(
    subject: tuple[str, XYWH], object_: tuple[str, XYWH], frame: Frame, coordinates: str
) -> dict[str, str]:
    """What the places of a prompt say of a pair (`prompt.PLACES`).

    Args:
        subject, object_: class and x, y, w, h in annotated pixels.
        frame: of the view that the words go with.
        coordinates: one of `frame.COORDINATES`.
    """
    words = {}
    roles = tell_apart(subject[1], object_[1])
    for end, (category, box), role in zip(("subject", "object"), (subject, object_), roles, strict=True):
        corners = frame.write(box, coordinates)
        words[end] = category
        words[f"a_{end}"] = with_article(category)
        words[f"the_{end}"] = " ".join(filter(None, ("the", role[0], category, role[1], corners)))
    return words


def tell_apart(first: XYWH, second: XYWH) -> tuple[tuple[str, str], tuple[str, str]]:
    """What comes before and after the name of each of two boxes.

    By the side on which their centres are further apart; by size where the centres are nearly the same (less
    than a tenth of the larger box apart); two equal boxes are not told apart.
    """
    (x1, y1, w1, h1), (x2, y2, w2, h2) = first, second
    across, down = (x1 + w1 / 2) - (x2 + w2 / 2), (y1 + h1 / 2) - (y2 + h2 / 2)
    if max(abs(across), abs(down)) * 10 < max(w1, h1, w2, h2):
        if w1 * h1 == w2 * h2:
            return ("", ""), ("", "")
        sizes = ("larger", ""), ("smaller", "")
        return sizes if w1 * h1 > w2 * h2 else sizes[::-1]
    if abs(across) >= abs(down):
        sides = ("", "on the left"), ("", "on the right")
        return sides if across < 0 else sides[::-1]
    sides = ("", "at the top"), ("", "at the bottom")
    return sides if down < 0 else sides[::-1]


def with_article(noun: str) -> str:
    """A noun with "a" or "an", by its first letter."""
    return f"{'an' if noun[:1].lower() in set('aeiou') else 'a'} {noun}"

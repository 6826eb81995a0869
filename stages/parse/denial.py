"""What a caption denies: objects that are absent, and actions that are not done, or not yet.

By words alone, so that the graphs of every parser can be checked:

* "no dog", "without a shirt", "instead of a cat", "neither a cup nor a plate", "nobody", "not a dog" deny
  the thing;
* "is not riding", "never sits", "no longer on the bed", "about to hit", "without looking at" deny the next
  verb or preposition, up to the next thing, comma, "but" or "while".

"ready to hit the ball" and the like state something else than "hit": they become a part of the predicate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from relforge.stages.parse.caption_text import ARTICLES, DEFINITE, DETERMINERS, CaptionText, Span
from relforge.stages.parse.policy import PREPOSITIONS

ANY_CUE = re.compile(
    r"\b(?:not?|none|never|nobody|nothing|nowhere|neither|nor|without|instead|rather|cannot|lack\w*|missing|sans"
    r"|minus|except|(?:is|are|was|were|does|do|did|has|have|ca|wo|could|would|should)n['’]?t"
    r"|(?:about|ready|going|prepar\w+|waiting|waits?|hop\w+|want\w*|unable|refus\w+|fail\w*|supposed|pretend\w*"
    r"|plan\w*) to)\b",
    re.IGNORECASE,
)
"""Quick test: a caption without a match denies nothing."""

_NOT_WORDS = "not never cannot isnt arent wasnt werent doesnt dont didnt cant"
_NOT = frozenset(_NOT_WORDS.split())
_NOBODY = frozenset({"nobody", "none", "nothing", "nowhere"})
_LACKING = frozenset({"without", "lacking", "lacks", "lack", "missing", "sans", "minus", "except"})
_PAIRS = {("instead", "of"), ("rather", "than"), ("except", "for")}
_NOT_DONE_WORDS = (
    "about going unable refuse refuses refusing fail fails failing supposed pretend pretends pretending"
)
_NOT_DONE = frozenset(_NOT_DONE_WORDS.split())
_INTENDED_WORDS = """
ready prepare prepares preparing prepared wait waits waiting hope hopes hoping want wants wanting plan plans
planning
"""
_INTENDED = frozenset(_INTENDED_WORDS.split())
_NO_DENIAL = frozenset({"only", "just", "far", "unlike"})
"""After "not": "not only", "not far from"."""
_END_WORDS = "but although though however while whereas because yet who which that , ; . : ! ?"
_END = frozenset(_END_WORDS.split())
_DENYING_WORDS = "without not no never lack lacks lacking missing instead sans minus nor"
_DENYING_PREDICATES = frozenset(_DENYING_WORDS.split())
_SIGNS = ("sign", "signs", "zone", "symbol", "sticker")


@dataclass
class Denial:
    """What a caption denies.

    Args:
        things: indices of entities that the caption states are absent.
        cues: words after which the next verb or preposition is denied.
        intentions: words that come with the next verb: [first, last] of "getting ready to".
    """

    text: CaptionText
    spans: Sequence[Span | None]
    things: set[int] = field(default_factory=set)
    cues: list[int] = field(default_factory=list)
    intentions: list[Span] = field(default_factory=list)

    def denies(self, subject: int, obj: int, predicate: Span | None, wording: str) -> bool:
        """Whether a relation is among what is denied.

        Args:
            subject, obj: entities.
            predicate: words of the predicate; None where they are not known.
            wording: of the predicate.
        """
        if self.things & {subject, obj} or _DENYING_PREDICATES & set(wording.lower().split()):
            return True
        ends = [self.spans[subject], self.spans[obj]]
        if ends[0] is None or ends[1] is None:
            return bool(self.cues)  # undecided by the words: better no relation than a wrong one
        left, right = sorted(span for span in ends if span is not None)
        at = predicate[0] if predicate is not None else right[0]
        if at < left[0]:  # "on the bed is ..."
            at = right[0]
        return any(self._reaches(cue, at, left) for cue in self.cues)

    def intention(self, subject: int, obj: int, predicate: Span | None) -> Span | None:
        """The words that make a relation one that is intended only, right before its verb."""
        ends = [span for span in (self.spans[subject], self.spans[obj]) if span is not None]
        if predicate is None or len(ends) < 2:
            return None
        at, left = predicate[0], min(ends)
        found = (span for span in self.intentions if span[1] + 1 == at and left[1] < span[0])
        return next(found, None)

    def absent_object(self, subject: int, obj: int) -> int | None:
        """Of a denied relation the end that need not exist: "not wearing a hat" has no hat, "not riding the
        horse" has a horse."""
        first, second = self.spans[subject], self.spans[obj]
        if first is None or second is None:
            return None
        later = obj if second > first else subject
        span = max(first, second)
        cue = any(cue < span[0] for cue in self.cues)
        return later if cue and self.text.words[span[0]] not in DEFINITE else None

    def _reaches(self, cue: int, at: int, left: Span) -> bool:
        words = self.text.words
        if not left[1] < cue < at or _END & set(words[cue + 1 : at]):
            return False
        between = any(span is not None and cue < span[0] and span[1] < at for span in self.spans)
        return not between or words[at - 1] in ("or", "nor")


def find_denial(text: CaptionText, spans: Sequence[Span | None]) -> Denial:
    """Args:
    text: the caption.
    spans: words of each entity, determiners included; None where unknown.
    """
    denial = Denial(text, spans)
    words = text.words
    owner = {i: k for k, span in enumerate(spans) if span for i in range(span[0], span[1] + 1)}
    for i, word in enumerate(words):
        after = words[i + 1] if i + 1 < len(words) else ""
        if word == "no" and after == "longer":
            _deny_next(denial, owner, i + 1)
        elif word == "no":
            if not any(w in _SIGNS for w in words[i + 1 : i + 4]):
                _deny_thing(denial, owner, i, skip=2)
        elif word in _NOBODY:
            if i in owner:
                denial.things.add(owner[i])
            _deny_thing(denial, owner, i + 1 if after == "of" else i)
        elif (word, after) in _PAIRS:
            _deny_next(denial, owner, i + 1)
        elif word in _LACKING and not (word == "missing" and i in owner):
            _deny_next(denial, owner, i)
        elif word in ("neither", "nor"):
            _deny_next(denial, owner, i + 1 if after == "of" else i)
        elif word in _NOT or word.endswith("n't"):
            if after not in _NO_DENIAL:
                _deny_next(denial, owner, i)
        elif after == "to" and i + 2 < len(words) and i + 2 not in owner and words[i + 2] not in DETERMINERS:
            if word in _NOT_DONE:  # "going to the beach" is none of this
                denial.cues.append(i + 1)
            elif word in _INTENDED:
                getting = i > 0 and words[i - 1] in ("get", "gets", "getting")
                denial.intentions.append((i - getting, i + 1))
    return denial


def _deny_next(denial: Denial, owner: dict[int, int], cue: int) -> None:
    """Deny the thing that follows the cue at once, else the next verb or preposition."""
    if not _deny_thing(denial, owner, cue):
        denial.cues.append(cue)


def _deny_thing(denial: Denial, owner: dict[int, int], cue: int, skip: int = 0) -> bool:
    """Deny the thing that follows the cue at once, with those coordinated to it.

    Args:
        skip: adjectives that may be between.
    """
    words = denial.text.words
    at = cue if cue in owner and cue + 1 in owner and owner[cue] == owner[cue + 1] else cue + 1
    while at < len(words) and at not in owner and (words[at] in DETERMINERS or skip):
        if words[at] in PREPOSITIONS or words[at] in _END or words[at] in ("and", "or"):
            return False
        skip -= words[at] not in DETERMINERS
        at += 1
    if at not in owner:
        return False
    while at in owner:
        thing = owner[at]
        denial.things.add(thing)
        span = denial.spans[thing]
        assert span is not None
        joint = span[1] + 1
        if joint >= len(words) or words[joint] not in ("or", "nor", "and", ","):
            break
        at = joint + 1
        if words[joint] == "," and at < len(words) and words[at] in ("or", "and", "nor"):
            joint, at = at, at + 1
        article = at < len(words) and words[at] in ARTICLES
        if words[joint] in ("and", ",") and article:
            break  # "without a shirt and a woman": the woman is there
    return True

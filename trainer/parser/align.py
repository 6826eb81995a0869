"""Gold graphs tied to the words of their captions.

FACTUAL gives strings (`( bushes , grow on , lawn )`), the model learns decisions about words: which words
form an entity or an attribute, which attribute belongs to which entity, and for each ordered pair of
entities the predicate, written as a *frame* and, where the frame has a `_`, the word that fills it:
`sit on`, worded as "sitting on", is the frame `_ on` filled by "sitting"; `have`, worded as "'s", is the
frame `have`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.learned.parse import Span
from relforge.stages.parse.learned.tokens import words
from relforge.stages.parse.triples import ATTRIBUTE, Triple
from relforge.trainer.parser.gold import GoldCaption

NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen"),
)
COUNT = {word: str(value) for value, word in enumerate(NUMBERS)}

_CLOSED = """
on in with at of by to for from into onto over under above below behind beside besides between near next
inside  outside around along across against through off up down out about among underneath beneath within
without  toward towards past top front left right side middle back bottom edge end corner the a and as
like during have  via upon amongst alongside atop away beyond opposite adjacent both all is be full
"""
CLOSED = frozenset(_CLOSED.split())
"""First words of predicates that are never a filler."""


@dataclass
class Aligned:
    """The decisions about one caption that a gold graph implies. Spans are word indices, both ends included.

    Args:
        entities: span -> gold name.
        attributes: (attribute span, entity span) -> gold text.
        implied: (entity span, attribute text) the caption does not spell.
        relations: (subject span, object span) -> (frame, filler word or -1, its lemma or "").
        lost: gold triples that could not be tied to words.
    """

    words: list[str]
    entities: dict[Span, str] = field(default_factory=dict)
    attributes: dict[tuple[Span, Span], str] = field(default_factory=dict)
    implied: set[tuple[Span, str]] = field(default_factory=set)
    relations: dict[tuple[Span, Span], tuple[str, int, str]] = field(default_factory=dict)
    lost: list[Triple] = field(default_factory=list)


class Associations:
    """Which word usually denotes a gold name that it does not spell: guy for person, he for man."""

    def __init__(self, min_count: int = 5, min_share: float = 0.15) -> None:
        self.min_count, self.min_share = min_count, min_share
        self.seen: Counter[str] = Counter()
        self.cooccurrences: Counter[tuple[str, str]] = Counter()

    def count(self, unused: Iterable[str], unspelt: Iterable[str]) -> None:
        unspelt = list(unspelt)
        for word in set(unused):
            self.seen[word] += 1
            for name in unspelt:
                self.cooccurrences[word, name] += 1

    def strength(self, word: str, name: str) -> float:
        both = self.cooccurrences[word, name]
        share = both / max(self.seen[word], 1)
        return share if both >= self.min_count and share >= self.min_share else 0.0


def find_occurrences(text: Sequence[str], name: str) -> list[Span]:
    """Every place where the words spell `name`, glued or hyphenated spellings included."""
    parts = name.split()
    spans = [
        (i, i + len(parts) - 1)
        for i in range(len(text) - len(parts) + 1)
        if list(text[i : i + len(parts)]) == parts
    ]
    if spans:
        return spans
    glued = name.replace(" ", "").replace("-", "")
    for size in (1, 2, 3):
        for i in range(len(text) - size + 1):
            if "".join(text[i : i + size]).replace("-", "") == glued:
                spans.append((i, i + size - 1))
    return spans


def similarity(left: str, right: str) -> float:
    """How alike two spellings are, 0 to 1; a shared beginning of four letters counts as alike."""
    if len(left) < 3 or len(right) < 3:
        return 0.0
    if left[:4] == right[:4] and len(left) >= 4:
        return 0.8
    return SequenceMatcher(None, left, right).ratio()


def collect_names(triples: Iterable[Triple]) -> tuple[list[str], list[str]]:
    """Entity names, and attribute texts, longest first."""
    entities: set[str] = set()
    attributes: set[str] = set()
    for triple in triples:
        entities.add(triple[0])
        if len(triple) == 3:
            (attributes if triple[1] == ATTRIBUTE else entities).add(triple[2])
    by_length = lambda name: (-len(name.split()), name)  # noqa: E731
    return sorted(entities, key=by_length), sorted(attributes, key=by_length)


def align(pair: GoldCaption, associations: Associations | None = None, learn: bool = False) -> Aligned:
    """Tie one gold graph to its caption.

    Args:
        associations: counted stand-ins; with `learn` the pair is counted into it instead of read from it.
    """
    text = words(pair.caption).text
    out = Aligned(text)
    names, attribute_texts = collect_names(pair.triples)
    taken: set[int] = set()
    places: dict[str, list[Span]] = {}
    for name in names:
        spans = [s for s in find_occurrences(text, name) if not taken & set(range(s[0], s[1] + 1))]
        if spans:
            places[name] = spans
            for span in spans:
                taken.update(range(span[0], span[1] + 1))
    attribute_places: dict[str, list[Span]] = {}
    for name in attribute_texts:
        spans = find_occurrences(text, name)
        if not spans and name.isdigit():
            spans = [(i, i) for i, word in enumerate(text) if COUNT.get(word) == name]
        free = [s for s in spans if not taken & set(range(s[0], s[1] + 1))]
        if free:
            attribute_places[name] = free
    used = taken | {i for spans in attribute_places.values() for s in spans for i in range(s[0], s[1] + 1)}
    unused = [i for i in range(len(text)) if (i not in used and text[i].isalnum()) or "-" in text[i]]
    unspelt = [("e", n) for n in names if n not in places]
    unspelt += [("a", n) for n in attribute_texts if n not in attribute_places]
    if learn and associations is not None:
        associations.count([text[i] for i in unused], [f"{kind}:{name}" for kind, name in unspelt])
        return out
    for kind, name in unspelt:
        scored = []
        for i in unused:
            if i in used:
                continue
            strength = associations.strength(text[i], f"{kind}:{name}") if associations else 0.0
            strength = max(strength, max(similarity(text[i], part) for part in name.split()) - 0.25)
            if strength >= 0.15 and (
                strength >= 0.5 or (associations and associations.strength(text[i], f"{kind}:{name}"))
            ):
                scored.append((strength, -i))
        if scored:
            i = -max(scored)[1]
            (places if kind == "e" else attribute_places)[name] = [(i, i)]
            used.add(i)
    _tie_relations(pair.triples, places, out)
    _tie_attributes(pair.triples, places, attribute_places, out)
    for triple in pair.triples:
        if len(triple) == 1:
            if triple[0] in places:
                out.entities[places[triple[0]][-1]] = triple[0]
            else:
                out.lost.append(triple)
    return out


def _tie_relations(triples: Iterable[Triple], places: dict[str, list[Span]], out: Aligned) -> None:
    for triple in sorted(triples):
        if len(triple) != 3 or triple[1] == ATTRIBUTE:
            continue
        subject, predicate, obj = triple
        choices = [
            (abs(s[1] - o[1]), s, o) for s in places.get(subject, []) for o in places.get(obj, []) if s != o
        ]
        if not choices:
            out.lost.append(triple)
            continue
        _, s, o = min(choices)
        if (s, o) in out.relations:
            out.lost.append(triple)
            continue
        out.relations[s, o] = frame_of(predicate, out.words, s, o)
        out.entities[s], out.entities[o] = subject, obj


def frame_of(predicate: str, text: Sequence[str], s: Span, o: Span) -> tuple[str, int, str]:
    """The frame of a gold predicate, the filler word (-1: none) and that word's lemma."""
    first, *rest = predicate.split()
    if first in CLOSED:
        return predicate, -1, ""
    inside = set(range(s[0], s[1] + 1)) | set(range(o[0], o[1] + 1))
    fits = [i for i, word in enumerate(text) if i not in inside and first in verb_lemmas(word)]
    if not fits:
        fits = [
            i for i, word in enumerate(text) if i not in inside and word[:4] == first[:4] and len(word) > 4
        ]
    if not fits:
        return predicate, -1, ""
    low, high = min(s[1], o[1]), max(s[1], o[1])
    best = min(fits, key=lambda i: (not low < i < high, abs(i - o[0])))
    return " ".join(["_", *rest]), best, first


def _tie_attributes(
    triples: Iterable[Triple],
    places: dict[str, list[Span]],
    attribute_places: dict[str, list[Span]],
    out: Aligned,
) -> None:
    for triple in sorted(triples):
        if len(triple) != 3 or triple[1] != ATTRIBUTE:
            continue
        name, _, attribute = triple
        spans = [s for s in places.get(name, []) if s in out.entities] or places.get(name, [])
        if not spans:
            out.lost.append(triple)
            continue
        choices = [
            (s[1] - a[1] if s[1] > a[1] else 3 + 2 * (a[0] - s[1]), a, s)
            for a in attribute_places.get(attribute, [])
            for s in spans
        ]
        if choices:
            _, a, s = min(choices)
            out.attributes[a, s] = attribute
        else:
            s = spans[0]
            out.implied.add((s, attribute))
        out.entities[s] = name


def align_all(pairs: Sequence[GoldCaption]) -> tuple[list[Aligned], Associations]:
    """Align a corpus: stand-ins are counted in a first pass and used in the second."""
    associations = Associations()
    for pair in pairs:
        align(pair, associations, learn=True)
    return [align(pair, associations) for pair in pairs], associations

"""Parses to scene graphs: phrases and predicates as the caption spells them, with their places in it."""

from __future__ import annotations

from relforge.stages.match.words import singular
from relforge.stages.parse.graph import Entity, Relation, SceneGraph
from relforge.stages.parse.learned.parse import Parse
from relforge.stages.parse.learned.tables import Tables
from relforge.stages.parse.learned.tokens import Words

_DETERMINERS = """
a an the this that these those some any another other each every both all no his her its their my your our
"""
DETERMINERS = frozenset(_DETERMINERS.split())

_PERSONS = "he him she they them someone somebody anyone everyone i we us you"
PERSONS = frozenset(_PERSONS.split())
"""Words that point at a person; their usual name (he: man) is the lemma, as matching needs it."""

SAID_AS = {"lay": ("lying", "lie", "lies", "laid"), "wear": ("dressed",)}
"""Gold predicates that captions usually word by forms of another verb."""


def scene_graph(caption: str, words: Words, parse: Parse, tables: Tables) -> SceneGraph:
    """The graph of one caption. Offsets count characters of `caption`."""
    spans = parse.entities
    entity_at: dict[int, int] = {}
    for index, (first, last) in enumerate(spans):
        for word in range(first, last + 1):
            entity_at[word] = index
    own: list[list[tuple[int, int]]] = [[] for _ in spans]
    for span, owner in parse.attributes:
        own[owner].append(span)
    texts: list[list[str]] = [[] for _ in spans]
    for owner, implied in parse.implied:
        texts[owner].append(implied)
    entities = []
    for index, (first, last) in enumerate(spans):
        begin = _phrase_start(words.text, first, own[index], entity_at)
        start, end = words.start[begin], words.end[last]
        attributes = [caption[words.start[a] : words.end[b]] for a, b in sorted(own[index])]
        entities.append(
            Entity(
                text=caption[start:end],
                lemma=_lemma(words.text[begin : last + 1], tables),
                head=caption[words.start[first] : end],
                start=start,
                end=end,
                attributes=(*attributes, *texts[index]),
            )
        )
    relations = [_relation(caption, words, parse, tables, relation) for relation in sorted(parse.relations)]
    return SceneGraph(tuple(entities), tuple(relations))


def _phrase_start(text: list[str], first: int, own: list[tuple[int, int]], entity_at: dict[int, int]) -> int:
    """Where the noun phrase begins: its own attributes and determiners directly before the noun."""
    mine = {word for a, b in own for word in range(a, b + 1)} if own else ()
    begin = first
    while begin > 0 and begin - 1 not in entity_at:
        word = text[begin - 1]
        joins = word in {"and", ",", "-", "&"} and begin - 2 in mine and begin in mine
        if not (begin - 1 in mine or word in DETERMINERS or joins):
            break
        begin -= 1
    return begin


def _lemma(text: list[str], tables: Tables) -> str:
    head = text[-1]
    last = tables.names.get(head, head) if head in PERSONS else singular(tables.speller.correct(head))
    return " ".join([*text[:-1], last])


def _relation(
    caption: str, words: Words, parse: Parse, tables: Tables, relation: tuple[int, int, str, int, float]
) -> Relation:
    subject, obj, frame, filler, confidence = relation
    lemma = frame.replace("_", tables.lemma(words.text[filler]), 1) if filler >= 0 else frame
    first, last, surface = _place(words.text, parse, subject, obj, frame, filler)
    return Relation(
        subject=subject,
        predicate=surface,
        lemma=lemma,
        object=obj,
        start=words.start[first] if first >= 0 else -1,
        end=words.end[last] if first >= 0 else -1,
        confidence=round(confidence, 3),
    )


def _place(
    text: list[str], parse: Parse, subject: int, obj: int, frame: str, filler: int
) -> tuple[int, int, str]:
    """Words [first, last] that express the predicate, and how the caption words it.

    Function words the gold style leaves out are stepped over ("on the side of" is `on side of`); where
    the words are scattered the span covers the filled word alone, and where nothing in the caption expresses
    the predicate, the words between the two entities do.
    """
    parts = frame.split()
    if filler >= 0:
        found = _follow(text, filler, parts[1:])
        if found is not None:
            return filler, found, " ".join(text[filler : found + 1])
        return filler, filler, " ".join([text[filler], *parts[1:]])
    left, right = sorted((parse.entities[subject], parse.entities[obj]))
    for at in (*range(left[1] + 1, right[0]), *range(left[1] + 1), *range(right[0], len(text))):
        if text[at] == parts[0] or text[at] in SAID_AS.get(parts[0], ()):
            found = _follow(text, at, parts[1:])
            if found is not None:
                return at, found, " ".join(text[at : found + 1])
    described = {i for (a, b), _ in parse.attributes for i in range(a, b + 1)}
    last = right[0] - 1
    while last > left[1] and (last in described or text[last] in DETERMINERS):
        last -= 1
    if left[1] < last <= left[1] + 3:
        return left[1] + 1, last, frame
    return -1, -1, frame


def _follow(text: list[str], at: int, parts: list[str]) -> int | None:
    """Where `parts` end when they follow word `at`, skipping at most one word before each; else None."""
    for part in parts:
        for step in (1, 2):
            if at + step < len(text) and text[at + step] == part:
                at += step
                break
        else:
            return None
    return at

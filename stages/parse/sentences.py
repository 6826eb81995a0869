"""Captions cut into sentences, so that no relation crosses a full stop and no length is too long to parse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from relforge.stages.parse.graph import Entity, Relation, SceneGraph

MAX_WORDS = 100
"""A longer sentence is parsed in parts: parsers take 120 words, marks included."""

_ABBREVIATIONS = "mr mrs ms dr st no vs etc approx dept ave blvd jr sr inc co ft"
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())
_STOP = re.compile(r"(?<=[.!?;])['\")\]]*\s+(?=\S)")
_WORD = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")


def split(caption: str) -> tuple[list[tuple[int, str]], int]:
    """Parts of a caption as (offset, text), and how many of its sentences were longer than `MAX_WORDS`."""
    cuts = [0]
    for match in _STOP.finditer(caption):
        before = re.findall(r"[\w.]+", caption[cuts[-1] : match.start()])
        last = before[-1].rstrip(".").lower() if before else ""
        if last and last not in ABBREVIATIONS and len(last) > 1 and "." not in last:
            cuts.append(match.end())
    sentences = list(zip(cuts, [*cuts[1:], len(caption)], strict=True))
    if len(caption) <= MAX_WORDS:  # as many characters hold no more words
        return [(a, caption[a:b]) for a, b in sentences], 0
    parts, long = [], 0
    for a, b in sentences:
        starts = [match.start() + a for match in _WORD.finditer(caption[a:b])]
        long += len(starts) > MAX_WORDS
        edges = [a, *starts[MAX_WORDS::MAX_WORDS], b]
        parts += [(x, caption[x:y]) for x, y in pairwise(edges)]
    return parts, long


def join(parts: Sequence[tuple[int, SceneGraph]]) -> SceneGraph:
    """The graph of a caption from those of its parts, each with the part's offset."""
    if len(parts) == 1:
        return parts[0][1]
    entities: list[Entity] = []
    relations: list[Relation] = []
    for offset, graph in parts:
        first = len(entities)
        entities += [
            replace(e, start=e.start + offset, end=e.end + offset) if e.start >= 0 else e
            for e in graph.entities
        ]
        for r in graph.relations:
            start, end = (r.start + offset, r.end + offset) if r.start >= 0 else (r.start, r.end)
            relations.append(
                replace(r, subject=r.subject + first, object=r.object + first, start=start, end=end)
            )
    return SceneGraph(tuple(entities), tuple(relations))

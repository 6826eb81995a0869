"""Scene graphs as sets of string triples, the form of the FACTUAL data set."""

from __future__ import annotations

import re

ATTRIBUTE = "is"
"""Predicate of a triple that states an attribute: `( lawn , is , green )`."""

_TRIPLE = re.compile(r"\(\s(.*?)\s\)(?=\s,\s\(|\s*$)")

Triple = tuple[str, ...]
"""(subject, predicate, object) as strings; (entity,) for a caption that names one thing only."""


def read_triples(text: str) -> frozenset[Triple]:
    """`( people , sit in , bleachers ) , ( girl , is , young )` as a set of string tuples."""
    found = (tuple(part.strip() for part in body.split(" , ")) for body in _TRIPLE.findall(text.strip()))
    return frozenset(triple for triple in found if len(triple) in (1, 3))


def is_relation(triple: Triple) -> bool:
    """Whether a triple relates two entities; the others state an attribute or a lone entity."""
    return len(triple) == 3 and triple[1] != ATTRIBUTE

"""Captions with gold scene graphs, in the layout of the FACTUAL data set."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

ATTRIBUTE = "is"
"""Predicate of a triple that states an attribute: `( lawn , is , green )`."""

TRIPLE = re.compile(r"\(\s(.*?)\s\)(?=\s,\s\(|\s*$)")

Triple = tuple[str, ...]
"""(subject, predicate, object) as strings; (entity,) for a caption that names one thing only."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One caption and what it says."""

    caption: str
    triples: frozenset[Triple]


def read_graph(text: str) -> frozenset[Triple]:
    """`( people , sit in , bleachers ) , ( girl , is , young )` as a set of string tuples."""
    found = (tuple(part.strip() for part in body.split(" , ")) for body in TRIPLE.findall(text.strip()))
    return frozenset(triple for triple in found if len(triple) in (1, 3))


def read_gold(path: str | Path) -> list[Pair]:
    """Read a CSV with the columns `caption` and `scene_graph` (Li et al., FACTUAL, ACL Findings 2023).

    Raises:
        ValueError: a column is missing.
    """
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = {"caption", "scene_graph"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f"{path}: no column {', '.join(sorted(missing))}; a gold file has the columns caption and "
                "scene_graph, as in FACTUAL"
            )
        return [Pair(row["caption"].strip(), read_graph(row["scene_graph"])) for row in reader]

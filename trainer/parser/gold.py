"""Captions with gold scene graphs, in the layout of the FACTUAL data set."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from relforge.stages.parse.triples import Triple, read_triples


@dataclass(frozen=True, slots=True)
class GoldCaption:
    """One caption and its gold triples."""

    caption: str
    triples: frozenset[Triple]


def read_gold(path: str | Path) -> list[GoldCaption]:
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
        return [GoldCaption(row["caption"].strip(), read_triples(row["scene_graph"])) for row in reader]

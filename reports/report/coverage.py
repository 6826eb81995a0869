"""What a run's synonym tables leave out, read from its tables."""

from __future__ import annotations

from typing import Any

import duckdb

from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.survey import Survey
from relforge.reports.classes import read_listed_classes
from relforge.reports.datasets import Datasets
from relforge.reports.query import select
from relforge.stages.match.coverage import count_nouns, describe_unknown_classes, find_unknown_classes
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.vocabulary import load
from relforge.stages.registry import backends

_MAX_PHRASES = 100_000
_MAX_NOUNS = 40
_PHRASES = """SELECT text, head, lemma, count(*)::BIGINT AS count FROM (
    SELECT subject AS text, subject_head AS head, subject_lemma AS lemma FROM triplets
    UNION ALL SELECT object, object_head, object_lemma FROM triplets)
    GROUP BY ALL ORDER BY count DESC, text, head, lemma LIMIT """


def find_coverage(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, plan: Plan, survey: Survey
) -> dict[str, Any] | None:
    """Classes and nouns that do not meet.

    Returns:
        None where the run does not match by `boundary`; else `classes` (how many there are), `unknown` (rows
        of `category`, `boxes`, and `named`: phrases that name it), `nouns` (rows of `noun` and `count`: the
        commonest of the 100,000 commonest phrases), `pairs_beyond_limit`, and `problem`: why there is
        nothing, where a table cannot be read any more.
    """
    spec = next((one for one in plan.job.stages if one.name == "match"), None)
    if spec is None or "triplets" not in datasets or "boxes" not in datasets:
        return None
    found: dict[str, Any] = {"classes": 0, "unknown": [], "nouns": [], "problem": None}
    found["pairs_beyond_limit"] = sum(
        one.sidecar.notes.get("pairs_beyond_limit", 0)
        for one in survey.entries.get("candidates", {}).values()
        if one.sidecar and not one.problem
    )
    if backends("match").is_foreign(spec.backend):  # a run folder may come from somebody else
        return None
    try:
        stage = plan.job.build_stage("match")
        if not isinstance(stage, MatchStage) or spec.options.get("method", "boundary") != "boundary":
            return None
        vocabulary = load(spec.options.get("synonyms", ["coco"]))
    except (ValueError, OSError, ImportError) as error:
        return found | {"problem": str(error)}
    rows = select(
        connection, "SELECT category, count(*) AS boxes FROM boxes GROUP BY 1 ORDER BY 1"
    ).to_pylist()
    boxes = {row["category"]: row["boxes"] for row in rows}
    listed = read_listed_classes(connection, datasets)
    vocabulary = vocabulary.with_own(listed)
    classes = sorted(listed)
    phrases = select(connection, f"{_PHRASES} {_MAX_PHRASES}").to_pylist()
    named, nouns = count_nouns(
        vocabulary, classes, [(row["text"], row["head"], row["lemma"], row["count"]) for row in phrases]
    )
    unknown = [
        {"category": name, "boxes": boxes.get(name, 0), "named": named[name]}
        for name in find_unknown_classes(vocabulary, classes)
    ]
    commonest = sorted(nouns.items(), key=lambda item: (-item[1], item[0]))[:_MAX_NOUNS]
    return found | {
        "classes": len(classes),
        "unknown": sorted(unknown, key=lambda row: (-row["boxes"], row["category"])),
        "nouns": [{"noun": noun, "count": count} for noun, count in commonest],
    }


def describe_coverage(found: dict[str, Any]) -> list[str]:
    """What is to be said of it in words."""
    said = []
    if found["problem"]:
        said.append(f"the synonym tables cannot be read, so classes were not looked up: {found['problem']}")
    if found["unknown"]:
        names = [row["category"] for row in found["unknown"]]
        said.append(describe_unknown_classes(names, found["classes"]))
    if found["pairs_beyond_limit"]:
        said.append(
            f"{found['pairs_beyond_limit']:,} pairs were left out, beyond match.max_pairs of their image"
        )
    return said

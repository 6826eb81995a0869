"""How many relations a parser finds, and how many of the gold ones.

    python benchmarks/parse_relations.py --parser sng_parser --graphs random_dev.csv \\
        --captions captions_val2017.json nucleus.json [--json]

`--graphs` is a FACTUAL-style CSV (columns caption, scene_graph; attributes are left out). A relation
counts as found when the lemmas of both head nouns agree and the predicate lemmas are equal (`exact`) or
one is the beginning or the end of the other (`loose`: the published rules drop the verb of `sit on`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from relforge.stages.parse.graph import Parser, SceneGraph
from relforge.stages.parse.stage import build_parser
from relforge.trainer.spacy_pipeline.confirmed import read_graphs
from relforge.trainer.spacy_pipeline.words import plural, sections

SINGULAR = {plural(noun): noun for part in sections("nouns").values() for noun in part if " " not in noun}
Triple = tuple[str, str, str]


def head(phrase: str) -> str:
    last = phrase.lower().split()[-1] if phrase.split() else ""
    return SINGULAR.get(last, last.removesuffix("s"))


def loose(a: str, b: str) -> bool:
    return (
        f"{a} ".startswith(f"{b} ")
        or f"{b} ".startswith(f"{a} ")
        or f" {a}".endswith(f" {b}")
        or f" {b}".endswith(f" {a}")
    )


def matched(found: set[Triple], gold: set[Triple], same: Callable[[str, str], bool]) -> int:
    return sum(any(f[0] == g[0] and f[2] == g[2] and same(f[1], g[1]) for f in found) for g in gold)


def triples(graph: SceneGraph) -> set[Triple]:
    heads = [head(entity.head) for entity in graph.entities]
    return {(heads[r.subject], r.lemma.lower(), heads[r.object]) for r in graph.relations}


def against_gold(parser: Parser, path: Path) -> list[dict[str, Any]]:
    captions, gold = zip(*read_graphs(path), strict=True)
    found = [triples(graph) for graph in parser.parse(captions)]
    wanted = [{(head(s), p, head(o)) for s, p, o in graph} for graph in gold]
    rows = []
    for name, same in (("exact", str.__eq__), ("loose", loose)):
        hits = sum(matched(f, g, same) for f, g in zip(found, wanted, strict=True))
        right = sum(matched(g, f, same) for f, g in zip(found, wanted, strict=True))
        precision, recall = right / max(1, sum(map(len, found))), hits / max(1, sum(map(len, wanted)))
        rows.append(
            {
                "case": f"{path.name}, {name} predicate",
                "precision": round(precision, 3),
                "recall": round(recall, 3),
                "f1": round(2 * precision * recall / max(1e-9, precision + recall), 3),
            }
        )
    return rows


def per_caption(parser: Parser, path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    texts = [row["caption"] for row in (data["annotations"] if isinstance(data, dict) else data)]
    counts = [len(graph.relations) for graph in parser.parse(texts)]
    return {
        "case": path.name,
        "captions": len(texts),
        "relations_per_caption": round(sum(counts) / len(counts), 3),
        "share_without_relation": round(counts.count(0) / len(counts), 3),
    }


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--parser", default="sng_parser", help="a name or module:Class")
    arguments.add_argument("--pipeline", help="spaCy pipeline of the parser")
    arguments.add_argument("--graphs", type=Path, nargs="*", default=[])
    arguments.add_argument("--captions", type=Path, nargs="*", default=[])
    arguments.add_argument("--json", action="store_true")
    args = arguments.parse_args(argv)
    parser = build_parser(args.parser, **({"pipeline": args.pipeline} if args.pipeline else {}))
    parser.setup()
    rows = [row for path in args.graphs for row in against_gold(parser, path)]
    rows += [per_caption(parser, path) for path in args.captions]
    rows = [{"peer": "gold graphs" if "f1" in row else "none", "parser": parser.name, **row} for row in rows]
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))


if __name__ == "__main__":
    main()

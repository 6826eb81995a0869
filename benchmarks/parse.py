"""Parsers against gold graphs, on real captions, in speed, and in what they do for matching.

    python benchmarks/parse.py --gold random_dev.csv --captions nucleus.json captions_val2017.json \\
        [--parser relforge] [--peer sng_parser] [--pairs instances_vcoco_test.json] [--seconds 20] [--json]

Gold: any CSV in FACTUAL's layout (columns `caption`, `scene_graph`). Captions: `[{image_id, caption}]`,
`{file or id: [caption]}` or COCO Captions JSON. `--pairs` (V-COCO annotations) adds pair recall and
candidates per image over the images of each caption file. Rows compare the parser with the peer.
`lemma` rows compare entities by singular head noun and predicates by the verb's dictionary form.
Speed: `one core` in CPU seconds of one process and thread, both sides taking turns; `two cores` is two
processes on disjoint captions in wall seconds, which other load on the machine slows down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from report import emit

from relforge.stages.match.words import singular
from relforge.stages.parse.graph import Parser, SceneGraph
from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.learned.parser import LearnedParser
from relforge.stages.parse.stage import build_parser
from relforge.stages.parse.triples import ATTRIBUTE, Triple
from relforge.trainer.parser import scores
from relforge.trainer.parser.align import COUNT
from relforge.trainer.parser.gold import read_gold
from relforge.trainer.parser.scores import score_sets

LIMIT = 20_000
"""Captions a core could parse in a second: what nine MFLOP a sentence cost at a core's peak."""


def read_captions(path: Path) -> list[str]:
    """The texts of a captions file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(data, dict) and "annotations" not in data:
        return [text for texts in data.values() for text in texts]
    return [row["caption"] for row in (data["annotations"] if isinstance(data, dict) else data)]


def graph_triples(graph: SceneGraph) -> frozenset[Triple]:
    """A scene graph as a gold file writes it: heads, predicate lemmas, attributes; counts as digits."""
    names = [entity.head.lower() for entity in graph.entities]
    found: set[Triple] = {(names[r.subject], r.lemma.lower(), names[r.object]) for r in graph.relations}
    for name, entity in zip(names, graph.entities, strict=True):
        found |= {(name, ATTRIBUTE, COUNT.get(a.lower(), a.lower())) for a in entity.attributes}
    return frozenset(found or {(name,) for name in names})


def gold_style(parser: Parser, captions: Sequence[str]) -> list[frozenset[Triple]]:
    """A parser's triples in gold style; its own string triples where it has them."""
    if isinstance(parser, LearnedParser):
        return scores.gold_style(parser, captions)
    own: Callable[[Sequence[str]], list[frozenset[Triple]]] | None = getattr(parser, "triples", None)
    return own(captions) if own else [graph_triples(graph) for graph in parser.parse(captions)]


def normal(triples: frozenset[Triple]) -> frozenset[Triple]:
    """Lemma-normalised: singular entities, verbs in their dictionary form."""

    def noun(text: str) -> str:
        *before, head = text.split() or [""]
        return " ".join([*before, singular(head)])

    def verb(text: str) -> str:
        first, *rest = text.split() or [""]
        return " ".join([verb_lemmas(first)[0], *rest])

    out: set[Triple] = set()
    for triple in triples:
        if len(triple) == 1:
            out.add((noun(triple[0]),))
        elif triple[1] == ATTRIBUTE:
            out.add((noun(triple[0]), ATTRIBUTE, triple[2]))
        else:
            out.add((noun(triple[0]), verb(triple[1]), noun(triple[2])))
    return frozenset(out)


def row(case: str, peer: str, ours: float, theirs: float | None, **more: Any) -> dict[str, Any]:
    ratio = round(ours / theirs, 3) if theirs else None
    return {"case": case, "peer": peer, "ours": ours, "theirs": theirs, "ratio": ratio, **more}


def quality(gold: Path, parser: Parser, peer: Parser) -> list[dict[str, Any]]:
    """Exact set match, triplets and relations; exact strings and lemma-normalised."""
    pairs = read_gold(gold)
    captions, truth = [pair.caption for pair in pairs], [pair.triples for pair in pairs]
    found = {p.name: gold_style(p, captions) for p in (parser, peer)}
    rows = []
    for kind, change in (("", lambda t: t), ("lemma ", normal)):
        wanted = [change(t) for t in truth]
        ours, theirs = (score_sets([change(t) for t in found[p.name]], wanted) for p in (parser, peer))
        rows += [row(f"{gold.stem}: {kind}{key}", peer.name, ours[key], theirs[key]) for key in ours]
    return rows


def counts(path: Path, parser: Parser, peer: Parser, max_captions: int = 4000) -> list[dict[str, Any]]:
    """Relations per caption, from the parser's `min_confidence` on, and the share of captions without one."""
    captions = read_captions(path)
    captions = captions[:: max(1, len(captions) // max_captions)]
    sizes = {}
    for one in (parser, peer):
        least = getattr(one, "min_confidence", 0.0)
        found = [
            sum(r.confidence is None or r.confidence >= least for r in graph.relations)
            for graph in one.parse(captions)
        ]
        sizes[one.name] = (sum(found) / len(found), sum(n == 0 for n in found) / len(found))
    ours, theirs = sizes[parser.name], sizes[peer.name]
    return [
        row(f"{path.stem}: relations per caption", peer.name, round(ours[0], 3), round(theirs[0], 3)),
        row(f"{path.stem}: captions without one", peer.name, round(ours[1], 3), round(theirs[1], 3)),
    ]


def downstream(pairs_file: Path, path: Path, names: tuple[str, str]) -> list[dict[str, Any]]:
    """V-COCO pair recall and candidates per image after matching, per parser."""
    import match_recall

    from relforge.stages.match.stage import MatchStage
    from relforge.stages.registry import build

    pairs = match_recall.Pairs(pairs_file, None)
    captions = match_recall.read_captions([path], {int(key) for key in pairs.truth})
    shown = set(captions["image_id"].to_pylist())
    found = []
    for name in names:
        stage = build("parse", name)
        stage.setup()
        triplets = stage.process({"captions": captions}).tables["triplets"]
        tables = {"triplets": triplets, "boxes": pairs.table, "images": pairs.images()}
        found.append(pairs.score(MatchStage(["coco"]).process(tables).tables["candidates"], shown))
    return [
        row(f"{path.stem}: V-COCO {key}", names[1], round(found[0][key], 4), round(found[1][key], 4))
        for key in found[0]
    ]


def rate(parse: Callable[[Sequence[str]], Any], captions: Sequence[str], seconds: float) -> float:
    """Captions per CPU second of this process."""
    parse(captions[: len(captions) // 4])
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        parse(captions)
        done += len(captions)
    return done / (time.process_time() - start)


def one_core(captions: list[str], parser: Parser, peer: Parser, seconds: float) -> list[dict[str, Any]]:
    """Against the peer, against `sng_parser.parse` per sentence and against `nlp.pipe`."""
    import sng_parser

    from relforge.stages.parse.pipelines import EMBEDDED, load_pipeline, pipeline_folder

    published = sng_parser.Parser("spacy", model=str(pipeline_folder(EMBEDDED)))
    nlp = load_pipeline(EMBEDDED)
    few = captions[:200]
    ours: list[float] = []
    theirs: dict[str, list[float]] = {"peer": [], "published": [], "pipe": []}
    for _ in range(2):
        ours.append(rate(parser.parse, captions, seconds / 8))
        theirs["peer"].append(rate(peer.parse, captions[:1000], seconds / 8))
        theirs["published"].append(
            rate(lambda some: [published.parse(text) for text in some], few, seconds / 8)
        )
        theirs["pipe"].append(rate(lambda some: list(nlp.pipe(some)), captions[:1000], seconds / 8))
    best = max(ours)
    limits = {"unit": "captions per CPU second", "limit": LIMIT, "fraction_of_limit": round(best / LIMIT, 3)}
    return [
        row("one core", name, round(best), round(max(theirs[key])), **limits)
        for key, name in (
            ("peer", f"{peer.name}, batches"),
            ("published", "sng_parser.parse, one by one"),
            ("pipe", "nlp.pipe, embedded pipeline, no graphs"),
        )
    ]


def two_cores(args: argparse.Namespace) -> dict[str, Any]:
    """Two processes at once, in wall seconds, and one alone as the peer."""

    def run(count: int) -> float:
        command = [sys.executable, __file__, "--captions", str(args.captions[0]), "--parser", args.parser]
        command += ["--seconds", str(args.seconds), "--worker"]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        return sum(float(worker.communicate()[0]) for worker in workers)

    both, alone = run(2), run(1)
    limits = {
        "unit": "captions per second",
        "limit": 2 * LIMIT,
        "fraction_of_limit": round(both / 2 / LIMIT, 3),
    }
    return row("two cores", "one process alone", round(both), round(alone), **limits)


def worker(args: argparse.Namespace) -> None:
    """One process of the two-core row: captions per wall second."""
    parser = build_parser(args.parser)
    parser.setup()
    captions = read_captions(args.captions[0])
    parser.parse(captions)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds / 4:
        parser.parse(captions)
        done += len(captions)
    print(done / (time.perf_counter() - start))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--gold", type=Path)
    options.add_argument("--captions", type=Path, nargs="*", default=[])
    options.add_argument(
        "--parser", default="relforge", help="a parse backend: relforge, sng_parser, flan_t5 or module:stage"
    )
    options.add_argument("--peer", default="sng_parser", help="the parser it is compared with")
    options.add_argument("--pairs", type=Path, help="V-COCO annotations")
    options.add_argument("--seconds", type=float, default=16.0, help="time for the speed rows; 0: none")
    options.add_argument("--json", action="store_true")
    options.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = options.parse_args()
    if not args.gold and not args.captions:
        options.error("give --gold FILE.csv, --captions FILE.json, or both")
    import torch

    torch.set_num_threads(1)
    if args.worker:
        worker(args)
        return
    parser, peer = build_parser(args.parser), build_parser(args.peer)
    parser.setup()
    peer.setup()
    rows = quality(args.gold, parser, peer) if args.gold else []
    for path in args.captions:
        rows += counts(path, parser, peer)
        if args.pairs:
            rows += downstream(args.pairs, path, (args.parser, args.peer))
    if args.captions and args.seconds:
        rows += one_core(read_captions(args.captions[0]), parser, peer, args.seconds)
        rows.append(two_cores(args))
    emit(rows, args.json, f"{parser.name} against {peer.name}")


if __name__ == "__main__":
    main()

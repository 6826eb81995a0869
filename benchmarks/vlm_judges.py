"""How well judges tell true relations of the drawn world from false ones: AUC against its complete gold.

    python benchmarks/vlm_judges.py --work FOLDER [--images 60] [--relations 150] [--seed 0]
        [--judges blip-blur blip-plain rtagger clip random] [--clip FOLDER] [--run RUN] [--json]

True are gold relations of images of the split `detection`, drawn at random. False, one for each: `predicate`,
the same two boxes with another predicate, drawn by how often the gold has it; `exchanged`, subject and object
swapped where the gold does not have that too. `random`: the tiny random LLaVA of the tests, which has to be
near 0.5, or the gold leaks. `blip-VIEW`: the shipped captioner with `score: likelihood`, against the twelve
most frequent predicates. `clip`: `tag: clip` with the weights of `--clip FOLDER`, which relforge does not
ship; without them its row says so. What a judge does not score counts as 0.

With `--run RUN`, the candidates of a run folder instead (`relforge demo`): true are those in its gold,
`proposed` the rest. They are what captions said, so a captioner that judges its own has a hard time.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report import emit
from scipy.stats import rankdata

from relforge.demo.job import IMAGE_SIZE, WEIGHTS
from relforge.demo.world.dataset import write_split
from relforge.stages.registry import build, build_source
from relforge.stages.tables import SCHEMAS, conform

Relation = tuple[str, int, int, str]
FALSE = ("predicate", "exchanged")
JUDGES = ("blip-blur", "blip-plain", "rtagger", "clip", "random")
ABSENT = "not available: give --clip FOLDER"


def read_world(work: Path, images: int, seed: int) -> dict[str, pa.Table]:
    """Tables `images`, `boxes` and `gold` of so many drawn images."""
    drawn = write_split(work / "world", "detection", images, seed=seed)
    source = build_source(
        "visual_genome",
        annotations=str(drawn / "scene_graphs.json"),
        images=str(drawn / "images" / "{image_id:0>6}.jpg"),
    )
    [result] = source.shards(images)
    return result.tables


def choose_relations(gold: Sequence[Relation], count: int, seed: int) -> dict[str, list[Relation]]:
    """`true` relations and as many false ones of each kind of `FALSE`, of the same pairs."""
    dice = random.Random(seed)
    known = set(gold)
    frequency = Counter(relation[3] for relation in gold)
    names = sorted(frequency)
    chosen: dict[str, list[Relation]] = {name: [] for name in ("true", *FALSE)}
    for image, subject, object_, predicate in dice.sample(list(gold), len(gold)):
        if len(chosen["true"]) == count:
            break
        exchanged = (image, object_, subject, predicate)
        others = [name for name in names if (image, subject, object_, name) not in known]
        if exchanged in known or not others:
            continue
        [other] = dice.choices(others, [frequency[name] for name in others])
        chosen["true"].append((image, subject, object_, predicate))
        chosen["predicate"].append((image, subject, object_, other))
        chosen["exchanged"].append(exchanged)
    return chosen


def to_candidates(relations: Sequence[Relation]) -> pa.Table:
    """Table `candidates`, with no evidence."""
    evidence = {"support": 1, "caption_ids": [], "triplet_ids": [], "rule": "benchmark", "alternatives": 1}
    rows = []
    for number, relation in enumerate(sorted(set(relations))):
        ends = dict(zip(SCHEMAS["gold"].names, relation, strict=True))
        rows.append({**ends, **evidence, "position": number, "claim_id": number})
    return conform("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))


def read_run(run: Path) -> dict[str, pa.Table]:
    """Tables `images`, `boxes`, `gold` and `candidates` of a run folder."""
    return {
        name: pa.concat_tables([pq.read_table(part) for part in sorted((run / name).glob("*.parquet"))])
        for name in ("images", "boxes", "gold", "candidates")
    }


def build_judge(name: str, work: Path, against: Sequence[str], clip: Path | None = None) -> Any:
    """A tag stage by its name in the table; None for `clip` without weights."""
    if name == "clip":
        return clip and build("tag", "clip", model=str(clip), floor=0.0, device="cpu")
    if name == "rtagger":
        return build("tag", "rtagger", model=str(WEIGHTS / "rtagger"), floor=0.0, device="cpu", **IMAGE_SIZE)
    options: dict[str, Any] = {"floor": 0.0, "device": "cpu"}
    if name == "random":
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from tests.fixtures.tiny_llava import write_tiny_llava

        return build("tag", "vlm", model=str(write_tiny_llava(work / "llava")), min_mass=0.0, **options)
    kind, view = name.split("-")
    options |= {"score": "likelihood", "against": list(against), "view": view}
    return build("tag", "vlm", model=str(WEIGHTS / kind), **options)


def score(stage: Any, tables: Mapping[str, pa.Table], relations: Sequence[Relation]) -> dict[Relation, float]:
    """The judge's score of every relation."""
    stage.setup()
    scored = stage.process({**tables, "candidates": to_candidates(relations)}).tables["scores"]
    keys = zip(*(scored[name].to_pylist() for name in SCHEMAS["gold"].names), strict=True)
    found = dict(zip(keys, scored["score"].to_pylist(), strict=True))
    return {relation: found.get(relation, 0.0) for relation in relations}


def auc(true: Sequence[float], false: Sequence[float]) -> float:
    """Probability that a true relation has the higher score; equal ones count half."""
    ranks = rankdata([*true, *false])
    return float((ranks[: len(true)].sum() - len(true) * (len(true) + 1) / 2) / (len(true) * len(false)))


def measure(
    judges: Sequence[str],
    work: Path,
    images: int,
    count: int,
    seed: int,
    run: Path | None = None,
    clip: Path | None = None,
) -> list[dict[str, str | float]]:
    """A row a judge: its AUC against each kind of false relation."""
    tables = read_run(run) if run else read_world(work, images, seed)
    gold, proposed = (
        list(zip(*(tables[table][name].to_pylist() for name in SCHEMAS["gold"].names), strict=True))
        for table in ("gold", "candidates" if run else "gold")
    )
    if run:
        proposed = random.Random(seed).sample(proposed, min(count, len(proposed)))
        known = set(gold)
        chosen = {"true": [one for one in proposed if one in known]}
        chosen["proposed"] = [one for one in proposed if one not in known]
    else:
        chosen = choose_relations(gold, count, seed)
    against = [name for name, _ in Counter(one[3] for one in gold).most_common(12)]
    relations = [one for of_kind in chosen.values() for one in of_kind]
    rows: list[dict[str, str | float]] = []
    for name in judges:
        judge = build_judge(name, work, against, clip)
        if judge is None:
            rows.append({"judge": name, "both": ABSENT})
            continue
        scores = score(judge, tables, relations)
        row: dict[str, str | float] = {"judge": name, "true": len(chosen["true"])}
        true = [scores[one] for one in chosen["true"]]
        kinds = [kind for kind in chosen if kind != "true"]
        for kind in kinds:
            row[kind] = auc(true, [scores[one] for one in chosen[kind]])
        false = [scores[one] for kind in kinds for one in chosen[kind]]
        rows.append(row | {"both": auc(true, false), "mean": float(np.mean(true + false))})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the drawn images")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--relations", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judges", nargs="+", choices=JUDGES, default=list(JUDGES))
    parser.add_argument("--clip", type=Path, help="folder of a CLIP model of transformers")
    parser.add_argument("--run", type=Path, help="run folder whose candidates are judged")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = measure(
        chosen.judges, chosen.work, chosen.images, chosen.relations, chosen.seed, chosen.run, chosen.clip
    )
    emit(rows, chosen.json, "AUC against the gold of the drawn world")


if __name__ == "__main__":
    main()

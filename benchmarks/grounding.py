"""Which of the box pairs that a claim allows are the annotated ones, by each rule of the stage `ground`.

    python benchmarks/grounding.py --boxes instances.json --captions captions.json --pairs pairs.json \\
        [--rules all nearest learned NAME=FOLDER] [--verbs ride,sit] [--save rows.parquet] [--json]

A row of the count is a distinct (image, subject box, object box, V-COCO verb) with a person as subject; its
score is the largest of the candidates that say so. It is right if that verb is annotated for the pair.
Recall is over all annotated actions; average precision is the mean of the precision at each right row.

`verb_precision`, recalls and candidates per image are of what the rule keeps by default; average precision,
the precision at a verb recall, and `choice` rank all candidates. `choice`: of the claims with several pairs
and a right one, how often the best scored is right. `gain_...` are ratios to `distance`, and in
`gain_..._interval` the 2.5 and 97.5 percentiles over 1,000 draws of the images (seed 0). `distance` ranks by
`Alternatives.distance` alone, `all` does not rank; both keep everything. NAME=FOLDER is a model of
`relforge ground fit`.

`--proposals FILE` of `relforge ground fit --proposals` takes the place of captions and rules: every pair and
verb by its probability; verb precision and recall are of what is proposed from 0.2 on.

`--calibrate FOLDER` fits the two numbers of a model's probability to these pairs, and writes them into it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from match_recall import VERBS, Pairs, parse_stage, read_captions
from report import emit

from relforge.stages.ground.pairs import Alternatives, read_alternatives
from relforge.stages.ground.stage import GroundStage
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.words import words
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform

RECALLS = (0.20, 0.25, 0.30)
DRAWS = 1000
PROPOSED, PROPOSED_RECALLS = 0.2, (0.3, 0.4, 0.5)
"""Threshold of proposals, and the recalls at which they are measured."""


@dataclass
class Count:
    """The rows that are counted, and what is annotated.

    Args:
        keys: (image, subject box, object box, verb) of each row.
        row, candidate: parallel: a candidate that says a row.
        right: of each row.
        image: place of each row's image in `annotated`.
        annotated: actions of each image.
    """

    keys: list[tuple[str, int, int, str]]
    row: np.ndarray
    candidate: np.ndarray
    right: np.ndarray
    image: np.ndarray
    annotated: np.ndarray

    def best(self, score: np.ndarray) -> np.ndarray:
        """Each row's score, out of its candidates'."""
        best = np.full(len(self.keys), -np.inf)
        np.maximum.at(best, self.row, score[self.candidate])
        return best


def read_count(candidates: pa.Table, pairs: Alternatives, truth: Pairs, verbs: set[str]) -> Count:
    """Rows of all candidates whose subject is a person and whose predicate says one of the verbs."""
    place = {image: at for at, image in enumerate(truth.truth)}
    rows: dict[tuple[str, int, int, str], int] = {}
    row, candidate = [], []
    columns = [
        candidates[name].to_pylist() for name in ("image_id", "subject_box", "object_box", "predicate")
    ]
    for number, (image, subject, object_, predicate) in enumerate(zip(*columns, strict=True)):
        said = set(words(predicate)) if pairs.subject_class[number] == "person" else set()
        for verb in VERBS:  # in this order, which decides between equal scores
            if verb in verbs and said.intersection(VERBS[verb]):
                row.append(rows.setdefault((image, subject, object_, verb), len(rows)))
                candidate.append(number)
    right = [verb in truth.truth[image].get((s, o), ()) for image, s, o, verb in rows]
    annotated = [sum(len(of & verbs) for of in facts.values()) for facts in truth.truth.values()]
    arrays = (np.array(row, np.int64), np.array(candidate, np.int64), np.array(right, bool))
    return Count(list(rows), *arrays, np.array([place[key[0]] for key in rows]), np.array(annotated))


def precisions(count: Count, score: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Average precision, and precision at each of `RECALLS` (nan where it is not reached).

    Args:
        score: of each row.
        times: how often each image counts.
    """
    order = np.argsort(-score, kind="stable")
    weight = times[count.image[order]]
    hits = np.cumsum(weight * count.right[order])
    precision = hits / np.maximum(np.cumsum(weight), 1)
    reached = weight * count.right[order]
    found = [float((precision * reached).sum() / max(reached.sum(), 1))]
    recall = hits / max((times * count.annotated).sum(), 1)
    for wanted in RECALLS:
        at = np.searchsorted(recall, wanted)
        found.append(float(precision[at]) if at < len(recall) else np.nan)
    return np.array(found)


def measure(
    name: str,
    count: Count,
    pairs: Alternatives,
    truth: Pairs,
    left: pa.Table,
    score: np.ndarray,
    kept: np.ndarray,
) -> dict[str, Any]:
    """One rule's row, without gains.

    Args:
        left: the candidates that the rule keeps.
        score, kept: of every candidate.
    """
    images = len(count.annotated)
    shown = count.best(np.where(kept, score, -np.inf)) > -np.inf
    right = int((shown & count.right).sum())
    columns = [left[one].to_pylist() for one in ("image_id", "subject_box", "object_box")]
    annotated = {(image, *pair) for image, facts in truth.truth.items() for pair in facts}
    chosen, claims = count_choices(count, pairs, score)
    values = precisions(count, count.best(score), np.ones(images)).tolist()
    names = ("average_precision", *(f"precision_at_{recall:.2f}" for recall in RECALLS))
    return {
        "case": name,
        "pair_recall": len(annotated & set(zip(*columns, strict=True))) / max(len(annotated), 1),
        "verb_recall": right / count.annotated.sum(),
        "verb_precision": right / max(int(shown.sum()), 1),
        "candidates_per_image": left.num_rows / images,
        "choice": chosen / max(claims, 1),
        "choice_claims": claims,
        **dict(zip(names, values, strict=True)),
    }


def measure_proposals(
    file: Path, tables: dict[str, pa.Table], truth: Pairs, verbs: set[str]
) -> dict[str, Any]:
    """The row of proposals, which need no captions."""
    stage = build("propose", "prior", model=str(file), threshold=0.001, top_k_image=10_000)
    candidates = stage.process(tables).tables["proposed"].combine_chunks()
    count = read_count(candidates, read_alternatives(candidates, truth.table, tables["images"]), truth, verbs)
    prior = candidates["prior"].to_numpy().astype(float)
    best = count.best(prior)
    shown, actions = best >= PROPOSED, int(count.annotated.sum())
    order = np.argsort(-best, kind="stable")
    hits = np.cumsum(count.right[order])
    reached = {recall: int(np.searchsorted(hits, recall * actions)) for recall in PROPOSED_RECALLS}
    return {
        "case": "proposals",
        "verb_recall": int((shown & count.right).sum()) / actions,
        "verb_precision": int((shown & count.right).sum()) / max(int(shown.sum()), 1),
        "candidates_per_image": int((prior >= PROPOSED).sum()) / len(count.annotated),
        **{
            f"precision_at_{recall:.2f}": float(hits[at] / (at + 1)) if at < len(hits) else None
            for recall, at in reached.items()
        },
    }


def count_choices(count: Count, pairs: Alternatives, score: np.ndarray) -> tuple[int, int]:
    """Of the (claim, verb)s with several pairs and a right one: whose best pair is right, and how many."""
    best: dict[tuple[int, str], tuple[float, bool]] = {}
    possible: set[tuple[int, str]] = set()
    for row, candidate in zip(count.row.tolist(), count.candidate.tolist(), strict=True):
        if pairs.alternatives[candidate] < 2:
            continue
        key, right = (int(pairs.claim[candidate]), count.keys[row][3]), bool(count.right[row])
        if right:
            possible.add(key)
        if key not in best or score[candidate] > best[key][0]:
            best[key] = (float(score[candidate]), right)
    return sum(best[key][1] for key in possible), len(possible)


def add_gains(row: dict[str, Any], count: Count, own: np.ndarray, base: np.ndarray) -> None:
    """Ratios to `distance` of the same run."""
    draws = np.random.default_rng(0).multinomial(
        len(count.annotated), np.full(len(count.annotated), 1 / len(count.annotated)), DRAWS
    )
    names = ["average_precision", *(f"precision_at_{recall:.2f}" for recall in RECALLS)]
    once = np.ones(len(count.annotated))
    gain = precisions(count, own, once) / precisions(count, base, once)
    drawn = np.array([precisions(count, own, times) / precisions(count, base, times) for times in draws])
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0)
    for at, name in enumerate(names):
        row[f"gain_{name}"] = float(gain[at])
        row[f"gain_{name}_interval"] = f"{low[at]:.2f} to {high[at]:.2f}"


def read_images(boxes: Path, wanted: set[str]) -> pa.Table:
    """The `images` table of a COCO file."""
    blank = dict.fromkeys(SCHEMAS["images"].names) | {"dataset": "coco", "split": "all"}
    rows = [
        blank | {"image_id": str(one["id"]), "width": one["width"], "height": one["height"]}
        for one in json.loads(boxes.read_text())["images"]
        if str(one["id"]) in wanted
    ]
    return conform("images", pa.Table.from_pylist(rows, SCHEMAS["images"]))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("--boxes", "--captions", "--pairs"):
        options.add_argument(name, type=Path, required=name != "--captions")
    options.add_argument("--proposals", type=Path, metavar="FILE")
    options.add_argument("--rules", nargs="+", default=["all", "nearest", "learned"])
    options.add_argument("--parser", default="relforge")
    options.add_argument("--verbs", help="only these, with commas between")
    options.add_argument("--save", type=Path)
    options.add_argument("--calibrate", type=Path, metavar="FOLDER")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    verbs = set(args.verbs.split(",")) if args.verbs else set(VERBS)
    truth = Pairs(args.pairs, args.boxes)
    images = read_images(args.boxes, set(truth.truth))
    if args.proposals:
        row = measure_proposals(args.proposals, {"images": images, "boxes": truth.table}, truth, verbs)
        emit([row], args.json, f"proposals for {len(truth.truth)} images")
        return
    if not args.captions:
        options.error("--captions is needed without --proposals")
    captions = read_captions([args.captions], {int(key) for key in truth.truth})
    parser = parse_stage(args.parser)
    parser.setup()
    triplets = parser.process({"captions": captions}).tables["triplets"]
    tables = {"triplets": triplets, "boxes": truth.table, "images": images}
    candidates = MatchStage(["coco"]).process(tables).tables["candidates"].combine_chunks()
    pairs = read_alternatives(candidates, truth.table, images)
    count = read_count(candidates, pairs, truth, verbs)
    if args.calibrate:
        calibrate(args.calibrate, count, pairs)
    scores = {"distance": (-pairs.distance(), np.ones(len(pairs.claim), bool))}
    for rule in args.rules:
        if rule == "all":
            scores[rule] = (np.zeros(len(pairs.claim)), np.ones(len(pairs.claim), bool))
        elif rule != "distance":
            scores[rule.partition("=")[0]] = score_by(rule, pairs)
    rows, saved = [], []
    base = count.best(scores["distance"][0])
    for name, (score, kept) in scores.items():
        row = measure(name, count, pairs, truth, candidates.filter(pa.array(kept)), score, kept)
        best = count.best(score)
        if name != "distance":
            add_gains(row, count, best, base)
        rows.append(row)
        saved.append(list_rows(name, count, pairs, best))
    if args.save:
        pq.write_table(pa.concat_tables(saved), args.save)
    title = f"{len(truth.truth)} images, {captions.num_rows} captions, {count.annotated.sum()} actions"
    emit(rows, args.json, title)


def list_rows(rule: str, count: Count, pairs: Alternatives, score: np.ndarray) -> pa.Table:
    """The rows of the count with a rule's score, and the first predicate that says each."""
    images, subjects, objects, verbs = zip(*count.keys, strict=True) if count.keys else ((), (), (), ())
    said = dict(zip(count.row[::-1].tolist(), count.candidate[::-1].tolist(), strict=True))
    predicates = [pairs.predicate[said[number]] for number in range(len(count.keys))]
    columns = {"image_id": images, "subject_box": subjects, "object_box": objects}
    return pa.table(
        {"rule": [rule] * len(score), **columns, "predicate": predicates, "verb": verbs, "score": score}
    )


def score_by(rule: str, pairs: Alternatives) -> tuple[np.ndarray, np.ndarray]:
    """Every candidate's prior by a backend of the stage `ground`, and which it keeps by default."""
    name, _, folder = rule.partition("=")
    stage = build("ground", "learned", model=folder) if folder else build("ground", name)
    assert isinstance(stage, GroundStage)
    stage.setup()
    score = stage.prior.score(pairs)
    assert score is not None, f"{rule}: gives no prior"
    return score, score.astype(np.float32) >= np.float32(stage.floor)


def calibrate(folder: Path, count: Count, pairs: Alternatives) -> None:
    """Fit (a, b) of the model's probability to the rows of the count, and write them."""
    from relforge.stages.ground.model import TABLES, load_model
    from relforge.trainer.ground.calibrate import calibrate as fit

    logits = count.best(load_model(folder).logits(pairs))
    values, _ = fit(logits, count.right)
    tables = json.loads((folder / TABLES).read_text())
    tables["calibration"] = list(values)
    (folder / TABLES).write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

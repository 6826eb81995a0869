"""How many human-object pairs of V-COCO the candidates reach, and at how many candidates per image.

    python benchmarks/match_recall.py --pairs instances_vcoco_test.json --captions CAPTIONS.json \\
        [--boxes instances_val2014.json] [--parser NAME] [--json]

`pair recall (any)`: annotated (person box, object box) pairs with at least one candidate predicate.
`pair recall (verb)`: annotated (person box, object box, action) with a candidate that has the action's
verb. Both over pairs that have an object. Without `--boxes` the annotated boxes themselves are the
detections. One row compares `boundary` (profile fixed) with `substring` (compat) on the same triplets.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from report import emit

from relforge.evaluation.overlap import plain
from relforge.stages.contract import Stage
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.words import words
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform

VERBS: dict[str, tuple[str, ...]] = {
    "hold": ("hold", "holds", "holding", "held"),
    "sit": ("sit", "sits", "sitting", "sat", "seated", "seat"),
    "ride": ("ride", "rides", "riding", "rode", "ridden"),
    "look": ("look", "looks", "looking", "looked", "watch", "watching", "watches", "stare", "staring"),
    "hit": ("hit", "hits", "hitting", "swing", "swinging", "swings"),
    "eat": ("eat", "eats", "eating", "ate", "eaten"),
    "jump": ("jump", "jumps", "jumping", "jumped"),
    "lay": ("lay", "lays", "laying", "lie", "lies", "lying", "laid"),
    "talk": ("talk", "talks", "talking", "talked", "speaking"),
    "carry": ("carry", "carries", "carrying", "carried"),
    "throw": ("throw", "throws", "throwing", "threw", "thrown"),
    "catch": ("catch", "catches", "catching", "caught"),
    "cut": ("cut", "cuts", "cutting", "slice", "slicing"),
    "work": ("work", "works", "working", "use", "uses", "using", "typing"),
    "ski": ("ski", "skis", "skiing", "skied"),
    "surf": ("surf", "surfs", "surfing", "surfed", "ride", "rides", "riding"),
    "skateboard": ("skateboard", "skateboards", "skateboarding", "skate", "skating"),
    "drink": ("drink", "drinks", "drinking", "drank"),
    "kick": ("kick", "kicks", "kicking", "kicked"),
    "read": ("read", "reads", "reading"),
    "snowboard": ("snowboard", "snowboards", "snowboarding"),
}
"""Forms in which a caption words an action, keyed by the first word of its V-COCO name."""


def image_of(name: str) -> int:
    """`COCO_val2014_000000001180.jpg` or `1180` -> 1180."""
    return int(Path(str(name)).stem.split("_")[-1])


def read_captions(paths: Iterable[Path], wanted: set[int]) -> pa.Table:
    """Captions of the wanted images, from `{file or id: [text]}`, `[{image_id, caption}]` or COCO JSON."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in paths:
        data = json.loads(path.read_text())
        if isinstance(data, dict) and "annotations" in data:
            data = data["annotations"]
        if isinstance(data, dict):
            for name, texts in data.items():
                found[image_of(name)].extend(texts)
        else:
            for row in data:
                found[int(row["image_id"])].append(row["caption"])
    rows = [
        {"image_id": str(image), "caption_id": number, "text": text, "source": "import"}
        for image in sorted(wanted & set(found))
        for number, text in enumerate(found[image])
    ]
    blank = dict.fromkeys(SCHEMAS["captions"].names)
    return conform("captions", pa.Table.from_pylist([blank | row for row in rows], SCHEMAS["captions"]))


class Pairs:
    """Annotated V-COCO pairs and the boxes that candidates are made of.

    Args:
        pairs: file with `annotations` (`boxes_h`, `boxes_o` xyxy pixels, `actions`, `objects`), `classes`
            and `objects`.
        boxes: COCO JSON with detections of the same images, or None.
    """

    def __init__(self, pairs: Path, boxes: Path | None) -> None:
        data = json.loads(pairs.read_text())
        self.classes, self.objects = data["classes"], data["objects"]
        self.truth: dict[str, dict[tuple[int, int], set[str]]] = {}
        self.rows: list[dict[str, Any]] = []
        detected = _detections(boxes) if boxes else {}
        for image in data["annotations"]:
            key = str(image_of(image["file_name"]))
            known: list[tuple[str, np.ndarray]] = detected.get(int(key), []) if boxes else []
            facts: dict[tuple[int, int], set[str]] = defaultdict(set)
            columns = (image["boxes_h"], image["boxes_o"], image["actions"], image["objects"])
            for human, thing, action, category in zip(*columns, strict=True):
                if category <= 0 or thing is None or np.isnan(np.asarray(thing, float)).any():
                    continue
                verb = self.classes[action].split()[0].split("_")[0]
                subject = _find(known, "person", np.asarray(human, float), grow=boxes is None)
                object_ = _find(known, self.objects[category], np.asarray(thing, float), grow=boxes is None)
                # a box that no detection covers cannot be reached; it stays in the denominator
                facts[(subject, object_ if object_ >= 0 else -2 - len(facts))].add(verb)
            self.truth[key] = facts
            for number, (category, (x0, y0, x1, y1)) in enumerate(known):
                self.rows.append(
                    {"image_id": key, "box_id": number, "category": category, "x": x0, "y": y0}
                    | {"w": x1 - x0, "h": y1 - y0, "iscrowd": False, "source_id": str(number)}
                )
        self.table = conform("boxes", pa.Table.from_pylist(self.rows, SCHEMAS["boxes"]))

    def images(self) -> pa.Table:
        blank = dict.fromkeys(SCHEMAS["images"].names) | {"dataset": "vcoco", "split": "test"}
        rows = [blank | {"image_id": key, "width": 10**6, "height": 10**6} for key in self.truth]
        return conform("images", pa.Table.from_pylist(rows, SCHEMAS["images"]))

    def score(self, candidates: pa.Table, captioned: set[str]) -> dict[str, float]:
        """Recalls and candidates per image over the captioned images."""
        found: dict[str, dict[tuple[int, int], set[str]]] = defaultdict(lambda: defaultdict(set))
        columns = ("image_id", "subject_box", "object_box", "predicate")
        for image, subject, object_, predicate in zip(
            *(candidates[c].to_pylist() for c in columns), strict=True
        ):
            found[image][(subject, object_)].update(words(predicate))
        pairs = pair_hits = actions = action_hits = 0
        for image in captioned:
            for pair, verbs in self.truth.get(image, {}).items():
                stated = found[image].get(pair, set())
                pairs += 1
                pair_hits += bool(stated)
                actions += len(verbs)
                action_hits += sum(bool(stated.intersection(VERBS[verb])) for verb in verbs)
        return {
            "pairs": pairs,
            "pair_recall_any": pair_hits / max(pairs, 1),
            "pair_recall_verb": action_hits / max(actions, 1),
            "candidates_per_image": candidates.num_rows / max(len(captioned), 1),
        }


def _detections(path: Path) -> dict[int, list[tuple[str, np.ndarray]]]:
    data = json.loads(path.read_text())
    names = {row["id"]: row["name"] for row in data["categories"]}
    found: dict[int, list[tuple[str, np.ndarray]]] = defaultdict(list)
    for row in data["annotations"]:
        x, y, w, h = row["bbox"]
        found[row["image_id"]].append((names[row["category_id"]], np.array([x, y, x + w, y + h], float)))
    return found


def _find(known: list[tuple[str, np.ndarray]], category: str, box: np.ndarray, grow: bool) -> int:
    """Index of the best box of that class with IoU of at least 0.5; else a new one, or -1."""
    best, index = 0.5 if not grow else 0.9, -1
    for number, (name, other) in enumerate(known):
        overlap = float(plain(box, other)) if name == category else 0.0
        if overlap >= best:
            best, index = overlap, number
    if index < 0 and grow:
        known.append((category, box))
        index = len(known) - 1
    return index


def compare(pairs: Pairs, triplets: pa.Table, captioned: set[str], synonyms: list[str] | None = None) -> dict:
    """`boundary` against `substring` on the same triplets; `synonyms` are the list for `substring`."""
    found = {}
    for method, tables in (("boundary", ["coco"]), ("substring", synonyms or ["coco"])):
        stage = MatchStage(tables, method)
        result = stage.process({"triplets": triplets, "boxes": pairs.table, "images": pairs.images()})
        found[method] = pairs.score(result.tables["candidates"], captioned)
        found[method]["triplets_matched"] = result.kept
    return found


def parse_stage(spec: str) -> Stage:
    """The stage of `relforge` or `relforge:predicate_form=lemma,min_confidence=0.4`."""
    name, _, given = spec.partition(":")
    pairs = (entry.split("=", 1) for entry in given.split(",") if entry)
    return build("parse", name, **{key: yaml.safe_load(value) for key, value in pairs})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--pairs", type=Path, required=True)
    options.add_argument("--captions", type=Path, nargs="+", required=True)
    options.add_argument("--boxes", type=Path)
    options.add_argument(
        "--parser", nargs="+", default=["relforge"], help="names, with options as NAME:key=value,key=value"
    )
    options.add_argument("--published-synonyms", type=Path, help="list for `substring`; else our own")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    pairs = Pairs(args.pairs, args.boxes)
    captions = read_captions(args.captions, {int(key) for key in pairs.truth})
    captioned = set(captions["image_id"].to_pylist())
    rows = []
    for name in args.parser:
        stage = parse_stage(name)
        stage.setup()
        triplets = stage.process({"captions": captions}).tables["triplets"]
        published = [str(args.published_synonyms)] if args.published_synonyms else None
        found = compare(pairs, triplets, captioned, published)
        for measure in found["boundary"]:
            ours, theirs = found["boundary"][measure], found["substring"][measure]
            row = {"case": f"{name}: {measure}", "peer": "substring (compat)", "ours": ours, "theirs": theirs}
            rows.append(row | {"ratio": ours / theirs if theirs else None})
    title = f"{len(captioned)} images, {captions.num_rows} captions"
    emit(rows, args.json, title)


if __name__ == "__main__":
    main()

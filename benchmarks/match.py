"""Speed of the match stage against the straightforward Python loop over pairs.

    python benchmarks/match.py [--images N] [--repeats N] [--json]

The loop is what the published scripts do: for every image every ordered pair of boxes, for every pair every
triplet. Both get the same classes of phrases (matching phrases to classes is outside the loop's time and
inside ours), and must give the same rows.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from itertools import permutations

import numpy as np
import pyarrow as pa
from report import emit

from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.vocabulary import load
from relforge.stages.tables import SCHEMAS, conform


def world(images: int, seed: int = 0) -> dict[str, pa.Table]:
    """Images with 1 to 30 boxes of a few classes and 10 captions of one or two triplets each."""
    rng = np.random.default_rng(seed)
    classes = sorted(load(["coco"]).classes)
    predicates = ["on", "holding", "riding", "next to", "in front of", "wearing", "with", "near"]
    boxes, triplets = [], []
    for image in range(images):
        key = f"{image:06d}"
        present = rng.choice(classes, size=rng.integers(1, 6), replace=False)
        for number in range(rng.integers(1, 31)):
            x, y, w, h = rng.uniform(0, 300, 2).tolist() + rng.uniform(5, 300, 2).tolist()
            row = {"image_id": key, "box_id": number, "category": str(rng.choice(present))}
            boxes.append(row | {"x": x, "y": y, "w": w, "h": h, "iscrowd": False, "source_id": "0"})
        for caption in range(10):
            for number in range(rng.integers(1, 3)):
                row = {"image_id": key, "caption_id": caption, "triplet_id": number, "parser": "made"}
                row["predicate"] = row["predicate_lemma"] = str(rng.choice(predicates))
                for end in ("subject", "object"):
                    noun = str(rng.choice(present if rng.random() < 0.7 else classes))
                    row |= {end: f"a {noun}", f"{end}_head": noun.split()[-1], f"{end}_lemma": f"a {noun}"}
                triplets.append(dict.fromkeys(SCHEMAS["triplets"].names) | row)
    blank = dict.fromkeys(SCHEMAS["images"].names) | {
        "dataset": "made",
        "split": "",
        "width": 640,
        "height": 640,
    }
    image_rows = [blank | {"image_id": f"{image:06d}"} for image in range(images)]
    made = {"images": image_rows, "boxes": boxes, "triplets": triplets}
    return {name: conform(name, pa.Table.from_pylist(rows, SCHEMAS[name])) for name, rows in made.items()}


def python_loop(tables: dict[str, pa.Table], names: dict[str, set[str]]) -> list[tuple[str, int, int, str]]:
    """Every pair of every image against every triplet of that image."""
    boxes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    facts: dict[str, list[tuple[set[str], str, set[str]]]] = defaultdict(list)
    for row in tables["boxes"].to_pylist():
        boxes[row["image_id"]].append((row["box_id"], row["category"]))
    for row in tables["triplets"].to_pylist():
        facts[row["image_id"]].append((names[row["subject"]], row["predicate"], names[row["object"]]))
    found: list[tuple[str, int, int, str]] = []
    for image, present in boxes.items():
        for (subject, subject_class), (object_, object_class) in permutations(present, 2):
            stated = {p for s, p, o in facts[image] if subject_class in s and object_class in o}
            found.extend((image, subject, object_, predicate) for predicate in stated)
    return sorted(found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--images", type=int, default=500)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    tables = world(args.images)
    vocabulary = load(["coco"])
    matcher = PhraseMatcher(vocabulary, list(vocabulary.classes))
    phrases = {text for end in ("subject", "object") for text in tables["triplets"][end].to_pylist()}
    names = {text: {hit.category for hit in matcher.match(text)} for text in phrases}
    stage = MatchStage(["coco"])
    stage.setup()
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(args.repeats):
        start = time.perf_counter()
        ours = stage.process(tables).tables["candidates"]
        seconds["ours"].append(time.perf_counter() - start)
        start = time.perf_counter()
        theirs = python_loop(tables, names)
        seconds["theirs"].append(time.perf_counter() - start)
    columns = ("image_id", "subject_box", "object_box", "predicate")
    assert list(zip(*(ours[c].to_pylist() for c in columns), strict=True)) == theirs
    a, b = (statistics.median(seconds[key]) for key in ("ours", "theirs"))
    rows = [
        {"case": f"{args.images} images, {ours.num_rows} candidate rows", "peer": "Python loop over pairs"}
        | {"ours": ours.num_rows / a, "theirs": ours.num_rows / b, "ratio": b / a, "unit": "rows per second"}
    ]
    emit(rows, args.json, "match stage, one core")


if __name__ == "__main__":
    main()

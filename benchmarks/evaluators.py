"""Speed of the evaluators at the sizes of HICO-DET, V-COCO and Open Images, against published ones.

    python benchmarks/evaluators.py [--cases hico vcoco open_images] [--images SHARE] [--json]
        [--rlipv2 CHECKOUT] [--vsrl-eval FOLDER]

The data is drawn: boxes near the annotated ones and elsewhere, 100 detections an image. Seconds are those of
the process (all threads), without drawing the data. A peer is the user's own checkout of published code: its
`datasets/hico_eval.py` (RLIPv2, CDN, QPIC) or a folder with `vsrl_eval.py` (V-COCO). It gets the same data,
and both means of the same protocol are printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from report import emit

from relforge.data import hico
from relforge.data.vcoco import VcocoData
from relforge.data.vcoco_actions import ACTION_OF, ACTIONS, COLUMNS, ROLE_COLUMNS, ROLES
from relforge.evaluation.annotated import Annotated
from relforge.evaluation.hico_protocol import PROTOCOLS
from relforge.evaluation.hico_quality import measure_kinds
from relforge.evaluation.open_images import OpenImagesEvaluator
from relforge.evaluation.pairs import Kind, Pairs
from relforge.evaluation.vcoco import VcocoEvaluator
from relforge.evaluation.vcoco_detections import AGENTS, VcocoDetections, of_pairs

PER_IMAGE = 100


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--images", type=float, default=1.0, help="share of the images of each benchmark")
    parser.add_argument("--rlipv2", help="checkout with datasets/hico_eval.py")
    parser.add_argument("--vsrl-eval", help="folder with vsrl_eval.py")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for case in options.cases:
        rows += CASES[case](options)
    emit(rows, options.json, "evaluators, CPU seconds")


def row(case: str, ours: float, note: str, peer: str = "", theirs: float | None = None) -> dict[str, Any]:
    """One line: seconds, and how many times ours the peer took."""
    return {
        "case": case,
        "peer": peer or "-",
        "ours": round(ours, 2),
        "theirs": None if theirs is None else round(theirs, 2),
        "ratio": None if theirs is None else round(theirs / ours, 1),
        "note": note,
    }


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the process, and what the work gives."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def peak() -> str:
    """Largest memory of the process so far."""
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def draw(images: int, gold: int, kinds: list[Kind], rng: np.random.Generator) -> tuple[Annotated, Pairs]:
    """Annotated pairs, and 100 detections an image of which a third are near an annotated pair."""
    ids = np.array([f"image_{number:08d}" for number in range(images)], object)
    names = [np.array([kind[end] for kind in kinds], object) for end in range(3)]
    popular = 1.0 / np.arange(1, len(kinds) + 1)
    popular /= popular.sum()
    image = np.sort(rng.integers(0, images, gold))
    kind = rng.choice(len(kinds), gold, p=popular)
    subject, object_ = boxes(gold, rng), boxes(gold, rng)
    subjects, predicates, objects = names
    annotated = Pairs(
        ids[image], subjects[kind], predicates[kind], objects[kind], subject, object_, np.ones(gold)
    )
    of_image = np.repeat(np.arange(images), PER_IMAGE)
    count = len(of_image)
    found_kind = rng.choice(len(kinds), count, p=popular)
    found_boxes = [boxes(count, rng), boxes(count, rng)]
    first, last = np.searchsorted(image, of_image), np.searchsorted(image, of_image, "right")
    near = np.flatnonzero((rng.random(count) < 1 / 3) & (last > first))
    source = first[near] + rng.integers(0, 10**9, len(near)) % (last - first)[near]
    found_kind[near] = kind[source]
    for end, of_gold in zip(found_boxes, (subject, object_), strict=True):
        end[near] = of_gold[source] + rng.normal(0, 6, (len(near), 4))
    score = rng.random(count) ** 2
    score[near] = np.maximum(score[near], rng.random(len(near)))
    found = Pairs(
        ids[of_image],
        subjects[found_kind],
        predicates[found_kind],
        objects[found_kind],
        found_boxes[0],
        found_boxes[1],
        score,
    )
    labels: list[set[str]] = [set() for _ in range(images)]
    for place, name in zip(image.tolist(), objects[kind].tolist(), strict=True):
        labels[place].add(name)
    boxed = np.bincount(image, minlength=images) > 0
    return Annotated(ids.tolist(), boxed, annotated, kinds, labels), found


def boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    """count x 4 xyxy within 640 x 480."""
    low = rng.random((count, 2)) * [400, 280]
    return np.concatenate([low, low + 20 + rng.random((count, 2)) * [200, 160]], 1)


def of_hico(options: argparse.Namespace) -> list[dict[str, Any]]:
    """9,658 images, 33,405 annotated pairs of 600 kinds."""
    kinds = [("person", verb, name) for verb, name in hico.interactions()]
    images = int(9658 * options.images)
    gold, found = draw(images, int(33405 * options.images), kinds, np.random.default_rng(0))
    rows = []
    values = {}
    for protocol in ("official", "rlipv2", "pocket", "ggnet"):
        took, quality = seconds(partial(measure_kinds, found, gold, PROTOCOLS[protocol]))
        values[protocol] = took, quality
        rows.append(row(f"HICO-DET {protocol}", took, f"{len(found):,} pairs, mAP {quality.mean():.4f}"))
    took, quality = seconds(lambda: measure_kinds(found, gold, PROTOCOLS["official"], known_object=True))
    rows.append(row("HICO-DET official, Known Object", took, f"mAP {quality.mean():.4f}"))
    if options.rlipv2:
        theirs, mean = published_hico(options.rlipv2, gold, found)
        ours, quality = values["rlipv2"]
        note = f"mAP {quality.mean():.6f}, theirs {mean:.6f}"
        rows.append(row("HICO-DET rlipv2", ours, note, "hico_eval.py", theirs))
    return rows


def published_hico(checkout: str, gold: Annotated, found: Pairs) -> tuple[float, float]:
    """`HICOEvaluator` of a checkout on the same pairs: one query per pair, all other verbs 0."""
    import torch

    module = load(Path(checkout) / "datasets" / "hico_eval.py")
    verbs = {name: code for code, name in enumerate(hico.verbs())}
    objects = {name: code for code, name in enumerate(hico.objects())}
    predictions, targets = [], []
    by_image = {name: number for number, name in enumerate(gold.images)}
    places = np.array([by_image[name] for name in found.image])
    gold_places = np.array([by_image[name] for name in gold.pairs.image])
    for number in range(len(gold.images)):
        rows = np.flatnonzero(places == number)
        scores = torch.zeros(len(rows), len(verbs))
        scores[range(len(rows)), [verbs[found.predicate[one]] for one in rows]] = torch.tensor(
            found.score[rows], dtype=torch.float32
        )
        labels = [0] * len(rows) + [objects[found.object[one]] for one in rows]
        corners = np.concatenate([found.subject_box[rows], found.object_box[rows]])
        ends = torch.arange(2 * len(rows))
        predictions.append(
            {
                "labels": torch.tensor(labels),
                "boxes": torch.tensor(corners),
                "verb_scores": scores,
                "sub_ids": ends[: len(rows)],
                "obj_ids": ends[len(rows) :],
            }
        )
        rows = np.flatnonzero(gold_places == number)
        pairs = gold.pairs.take(rows)
        hois = [[k, len(rows) + k, verbs[name]] for k, name in enumerate(pairs.predicate)]
        targets.append(
            {
                "filename": gold.images[number],
                "boxes": torch.tensor(np.concatenate([pairs.subject_box, pairs.object_box])),
                "labels": torch.tensor([0] * len(rows) + [objects[name] for name in pairs.object]),
                "hois": torch.tensor(hois).reshape(-1, 3),
            }
        )
    flags = SimpleNamespace(use_nms_filter=True, thres_nms=0.7, nms_alpha=1.0, nms_beta=0.5)
    every = [(0, objects[kind[2]], verbs[kind[1]]) for kind in gold.kinds or ()]
    took, result = seconds(
        lambda: module.HICOEvaluator(
            predictions, targets, 0, every, every, hico.correct_verbs().astype(float), flags
        ).evaluate()
    )
    return took, float(result["mAP"])


def of_vcoco(options: argparse.Namespace) -> list[dict[str, Any]]:
    """4,946 images, 100 pairs each with 29 scores."""
    gold, found = draw_vcoco(int(4946 * options.images), np.random.default_rng(0))
    evaluator = VcocoEvaluator("drawn")
    took, result = seconds(lambda: evaluator.measure(found, gold))
    mean = result.measures["role_average_precision scenario 1"].value
    note = f"{len(found.image):,} pairs, role AP {mean:.4f}, with the prior's, {peak()}"
    rows = [row("V-COCO official, both scenarios and agents", took, note)]
    if options.vsrl_eval:
        theirs = published_vcoco(options.vsrl_eval, gold, found)
        rows.append(row("V-COCO official", took, "see its printed numbers", "vsrl_eval.py", theirs))
    return rows


def draw_vcoco(images: int, rng: np.random.Generator) -> tuple[VcocoData, VcocoDetections]:
    """Three people an image, a twelfth of all actions hold."""
    people = 3 * images
    image = np.repeat(np.arange(images), 3)
    box = boxes(people, rng).astype(np.float32)
    role_box = np.stack([boxes(people, rng) for _ in ROLE_COLUMNS], 1).astype(np.float32)
    actions = rng.random((people, len(ACTIONS))) < 1 / 12
    absent = rng.random((people, len(ROLE_COLUMNS))) < 0.2
    for place, column in enumerate(ROLE_COLUMNS):
        absent[:, place] |= ~actions[:, ACTIONS.index(ACTION_OF[column])]
    role_box[absent] = np.nan
    classes = hico.objects()
    role_class = np.where(absent, -1, rng.integers(0, 80, absent.shape))
    numbers = list(range(1, images + 1))
    gold = VcocoData(numbers, image, box, rng.random(people) < 0.95, actions, role_box, role_class, classes)
    count = PER_IMAGE * images
    of_image = np.repeat(np.arange(images), PER_IMAGE)
    person = 3 * of_image + rng.integers(0, 3, count)
    person_box = box[person] + rng.normal(0, 8, (count, 4)).astype(np.float32)
    role = role_box[person, rng.integers(0, len(ROLE_COLUMNS), count)]
    object_box = np.where(np.isnan(role), boxes(count, rng), role + rng.normal(0, 6, (count, 4)))
    object_box[rng.random(count) < 0.1] = np.nan
    scores = {column: rng.random(count, np.float32) for column in COLUMNS}
    names = np.array(classes, object)[rng.integers(0, 80, count)]
    return gold, of_pairs(of_image, person_box, object_box.astype(np.float32), scores, names)


def published_vcoco(folder: str, gold: VcocoData, found: VcocoDetections) -> float:
    """`VCOCOeval` of a folder on the same people; its numbers go to standard output."""
    module = load(Path(folder) / "vsrl_eval.py")
    instances, actions = official_files(gold)
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / name for name in ("vcoco.json", "instances.json", "ids.txt", "found.pkl")]
        paths[0].write_text(json.dumps(actions))
        paths[1].write_text(json.dumps(instances))
        paths[2].write_text("\n".join(map(str, gold.images)))
        paths[3].write_bytes(pickle.dumps(dictionaries(gold, found), protocol=2))
        evaluator = module.VCOCOeval(*map(str, paths[:3]))
        return seconds(lambda: evaluator._do_eval(str(paths[3]), ovr_thresh=0.5))[0]


def official_files(gold: VcocoData) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """COCO's boxes and V-COCO's actions of drawn people."""
    names = {code + 1: name for code, name in enumerate(gold.classes)}
    annotations: list[dict[str, Any]] = []

    def add(image: int, code: int, box: np.ndarray) -> int:
        low, high = box[:2].tolist(), box[2:].tolist()
        sides = [high[0] - low[0] + 1, high[1] - low[1] + 1]
        one = {"id": len(annotations) + 1, "image_id": gold.images[image], "category_id": code + 1}
        annotations.append(one | {"bbox": [*low, *sides], "area": sides[0] * sides[1], "iscrowd": 0})
        return len(annotations)

    people = [add(image, 0, box) for image, box in zip(gold.image.tolist(), gold.box, strict=True)]
    actions = []
    for number, action in enumerate(ACTIONS):
        rows = np.flatnonzero(gold.labelled).tolist()
        ends = [[people[place] for place in rows]]
        for role in ROLES[action]:
            column = ROLE_COLUMNS.index(f"{action}_{role}")
            boxed = ~np.isnan(gold.role_box[:, column]).any(1) & gold.actions[:, number]
            ends.append(
                [
                    add(int(gold.image[p]), int(gold.role_class[p, column]), gold.role_box[p, column])
                    if boxed[p]
                    else 0
                    for p in rows
                ]
            )
        one = {"action_name": action, "role_name": ["agent", *ROLES[action]], "ann_id": ends[0]}
        one["image_id"] = [gold.images[gold.image[place]] for place in rows]
        one["label"] = gold.actions[rows, number].astype(int).tolist()
        actions.append(one | {"role_object_id": [end for column in ends for end in column]})
    images = [{"id": n, "width": 640, "height": 480, "file_name": f"{n}.jpg"} for n in gold.images]
    categories = [{"id": number, "name": name} for number, name in names.items()]
    return {"images": images, "annotations": annotations, "categories": categories}, actions


def dictionaries(gold: VcocoData, found: VcocoDetections) -> list[dict[str, Any]]:
    """Detections as the official code wants them."""
    scores = {name: values for name, (_, values) in found.scores.items()}
    every = []
    for place, image in enumerate(found.image.tolist()):
        one: dict[str, Any] = {"image_id": gold.images[image], "person_box": found.person_box[place]}
        for column in ROLE_COLUMNS:
            one[column] = np.append(found.object_box[place], scores[column][place])
        for agent in AGENTS:
            one[agent] = scores[agent][place]
        every.append(one)
    return every


def of_open_images(options: argparse.Namespace) -> list[dict[str, Any]]:
    """5,322 images, 25,000 annotated pairs of 288 classes and 30 predicates."""
    rng = np.random.default_rng(0)
    codes = {tuple(code) for code in np.stack([rng.integers(0, n, 2000) for n in (288, 30, 288)], 1).tolist()}
    kinds = [(f"class {s}", f"predicate {p}", f"class {o}") for s, p, o in sorted(codes)]
    gold, found = draw(int(5322 * options.images), int(25000 * options.images), kinds, rng)
    took, result = seconds(lambda: OpenImagesEvaluator("drawn", "drawn").measure(found, gold))
    note = f"{len(found):,} pairs, score_wtd {result.measures['score_wtd'].value:.4f}, with the prior's"
    return [row("Open Images, both conventions", took, note)]


def load(path: Path) -> ModuleType:
    """A module of a checkout, whose own imports are found beside it."""
    sys.path[:0] = [str(path.parent), str(path.parent.parent)]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"{path} does not exist")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = {"hico": of_hico, "vcoco": of_vcoco, "open_images": of_open_images}


if __name__ == "__main__":
    main()

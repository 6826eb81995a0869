"""The effect of pseudo-labels downstream (RLIPv2, Table 8): zero-shot HOI recognition on the `hoi` split.

One model is the R-Tagger, which learns from the gold images alone. The other is of the same kind and
learns, for as many steps, from them and from images that the pipeline labelled: human-like captions,
that R-Tagger, threshold 0.2. No image of the `hoi` split is in any training set; some of its verbs are in
neither gold nor captions.

Boxes and classes are given and every pair is scored against every verb, so only the recognition of
relations is measured. In `detection` a ParSeD detects the boxes as well, which takes hours on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laboratory.candidate_sets import THRESHOLD, every_predicate
from laboratory.labels import candidates, run_folder, scores, selected
from laboratory.spread import Row, rows
from laboratory.training import BASE, SHORT_SIDE, tagger
from laboratory.world import SIZE, World
from relforge.demo.world.dataset import UNSEEN
from relforge.evaluation.hico_quality import DetectionQuality, measure_detections
from relforge.evaluation.pairs import Pairs

TAGGERS = ()
GOLD, BOTH = "gold", "gold and pseudo-labels"


def train(world: World, learns: str, seed: int) -> Path:
    """The model of that seed."""
    teacher = tagger(world, BASE, seed)
    return teacher if learns == GOLD else tagger(world, BASE, seed, labelled(world, teacher))


def labelled(
    world: World,
    model: Path,
    threshold: float = THRESHOLD,
    sides: tuple[int, int] = (SHORT_SIDE, SIZE),
) -> Path:
    """Pseudo-labels of all images to be labelled, with that R-Tagger.

    Args:
        sides: of the images that it sees, as in its training.
    """
    tables = world.tables("detection")
    own = {"short_side": sides[0], "long_side": sides[1]}
    scored = scores(world, tables, candidates(world, tables), model, **own)
    name = model.parent.name + (f"-{threshold:g}" if threshold != THRESHOLD else "")
    return run_folder(world, tables, selected(tables, scored, threshold=threshold), name)


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    found = {
        learns: [_measures(world, train(world, learns, seed)) for seed in seeds] for learns in (GOLD, BOTH)
    }
    return [row for name, own in found.items() for row in rows(name, GOLD, own, found[GOLD])]


def _measures(world: World, model: Path) -> dict[str, float]:
    tables = world.tables("hoi")
    verbs = sorted(pc.unique(tables["gold"]["predicate"]).to_pylist())
    scored = scores(world, tables, every_predicate(tables, verbs), model)
    gold, found = (locate(rows_, tables["boxes"]) for rows_ in (tables["gold"], scored))
    return hoi_measures(measure_detections(found, gold), measure_detections(found, gold, subject=None))


def hoi_measures(people: DetectionQuality, anything: DetectionQuality) -> dict[str, float]:
    """Means over human-object interactions, split by whether training showed the verb, and over all kinds."""
    return {
        "HOI mAP": people.mean(),
        "HOI mAP, seen verbs": people.mean(lambda kind: kind[1] not in UNSEEN),
        "HOI mAP, unseen verbs": people.mean(lambda kind: kind[1] in UNSEEN),
        "mAP, any subject": anything.mean(),
    }


def locate(pairs: pa.Table, boxes: pa.Table) -> Pairs:
    """Rows of `gold` or `scores` with the classes and corners of their boxes."""
    box_of = {(row["image_id"], row["box_id"]): row for row in boxes.to_pylist()}
    images = pairs["image_id"].to_pylist()
    ends = {}
    for end in ("subject", "object"):
        numbers = pairs[f"{end}_box"].to_pylist()
        ends[end] = [box_of[image, number] for image, number in zip(images, numbers, strict=True)]
    corners = {
        end: np.array([(b["x"], b["y"], b["x"] + b["w"], b["y"] + b["h"]) for b in found], float)
        for end, found in ends.items()
    }
    scored = "score" in pairs.column_names
    return Pairs(
        image=np.array(images, object),
        subject=np.array([box["category"] for box in ends["subject"]], object),
        predicate=np.array(pairs["predicate"].to_pylist(), object),
        object=np.array([box["category"] for box in ends["object"]], object),
        subject_box=corners["subject"],
        object_box=corners["object"],
        score=pairs["score"].to_numpy().astype(float) if scored else np.ones(pairs.num_rows),
    )

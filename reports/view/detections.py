"""Detections beside the annotated pairs, as the image page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.data.hoi_relations import read_sizes
from relforge.evaluation.annotated import image_id
from relforge.evaluation.hico import HicoEvaluator, HicoGold
from relforge.evaluation.hico_quality import Chosen
from relforge.evaluation.kind_matches import MIN_IOU, Rule
from relforge.evaluation.pairs import Kind
from relforge.reports.view.choose import choose, reading_order
from relforge.reports.view.thumbnail import encode_thumbnail
from relforge.stages.ingest.image_files import ImageFiles

BEST = 20
"""Detections of an image that are shown, the best by score."""

_READERS = 8


@dataclass(frozen=True)
class _File:
    """Args:
    uri: of the image; None where it is not known.
    size: (width, height), pixels; None likewise.
    """

    uri: str | None
    size: tuple[int, int] | None


def gather_detections(
    target: str, evaluator: HicoEvaluator, max_images: int = 200, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything on the page as plain values, as `page.gather` has them of a run.

    A detection is right or wrong as the evaluator's protocol decides among those that are shown; an annotated
    pair that none of them takes is missed.

    Args:
        target: table of detections, or folder of a model.
        evaluator: says what they are compared with, and by which rules.
        max_images: how many images, drawn by `choose.choose`.
        only: these images instead.

    Raises:
        ValueError, OSError: what cannot be read, or an image that the annotation does not have.
    """
    gold = evaluator.read_gold(target)
    chosen = evaluator.choose(evaluator.read_detections(target, gold), gold)
    ids = list(chosen.images)
    if unknown := [one for one in only if one not in set(ids)]:
        raise ValueError(f"--image {unknown[0]}: no such image in {evaluator.annotations}")
    told = {ids[number] for number in {*chosen.gold.image.tolist(), *chosen.found.image.tolist()}}
    shown = sorted(only, key=reading_order) if only else choose(ids, told, max_images)
    place = {name: number for number, name in enumerate(ids)}
    files = _files(gold, evaluator.images, shown)
    scenes = [_scene(name, place[name], chosen, evaluator.rules.rule, files[name]) for name in shown]

    def thumbnail(scene: dict[str, Any]) -> tuple[str | None, str]:
        file = files[scene["id"]]
        if file.uri is None:
            return None, "images=FOLDER was not given"
        return encode_thumbnail(file.uri, None, (scene["width"], scene["height"]), orientation="stored")

    with ThreadPoolExecutor(_READERS) as readers:
        for scene, (packed, reason) in zip(scenes, readers.map(thumbnail, scenes), strict=True):
            scene |= {"thumbnail": packed, "no_thumbnail": reason}
    return {
        "run": target,
        "dataset": Path(evaluator.annotations).name,
        "shown": "detections",
        "measure": "score",
        "gold": True,
        "total": len(ids),
        "left_out": len(ids) - len(shown),
        "images": scenes,
    }


def _files(gold: HicoGold, images: str, shown: Sequence[str]) -> dict[str, _File]:
    """Where each shown image is and how large."""
    wanted = set(shown)
    if gold.data is not None:
        rows = gold.data.images.select(["image_id", "uri", "width", "height"]).to_pylist()
        found = {
            row["image_id"]: _File(row["uri"] if images else None, (row["width"], row["height"]))
            for row in rows
        }
        return {name: found[name] for name in shown}
    assert gold.files is not None
    of_name = {image_id(one.file_name): one for one in gold.files.images if image_id(one.file_name) in wanted}
    some = [of_name[name] for name in shown]
    names = pa.array([image.file_name for image in some], pa.string())
    uris = ImageFiles(images or None).uris(pa.array(shown, pa.string()), names, "").to_pylist()
    sizes = read_sizes(some, uris)
    return {name: _File(uri, size) for name, uri, size in zip(shown, uris, sizes, strict=True)}


def _scene(name: str, number: int, chosen: Chosen, rule: Rule, file: _File) -> dict[str, Any]:
    """Boxes and relations of one image."""
    found, gold = chosen.found, chosen.gold
    rows = np.flatnonzero(found.image == number)
    rows = rows[np.argsort(-found.score[rows], kind="stable")][:BEST]
    of_gold = np.flatnonzero(gold.image == number)
    boxes: dict[tuple[Any, ...], int] = {}

    def relation(kind: Kind, subject: np.ndarray, object_: np.ndarray, score: float | None) -> dict[str, Any]:
        ends = [
            boxes.setdefault((of, *np.round(box, 2).tolist()), len(boxes))
            for of, box in ((kind[0], subject), (kind[2], object_))
        ]
        one = {"subject": ends[0], "predicate": kind[1], "object": ends[1], "score": score}
        return one | {"support": 1, "rule": "", "evidence": []}

    taken: set[int] = set()
    relations = []
    for row in rows.tolist():
        claimed = _claim(chosen, row, of_gold, rule, taken)
        right = claimed is not None and claimed not in taken
        taken |= {claimed} if claimed is not None else set()
        kind = chosen.kinds[found.kind[row]]
        one = relation(kind, found.subject_box[row], found.object_box[row], float(found.score[row]))
        relations.append(one | {"verdict": "right" if right else "wrong"})
    for row in of_gold.tolist():
        if row not in taken:
            one = relation(chosen.kinds[gold.kind[row]], gold.subject_box[row], gold.object_box[row], None)
            relations.append(one | {"verdict": "missed", "why": f"none of the best {BEST} detections"})
    corners = [box[1:] for box in boxes]
    extent = [max([1, *(int(np.ceil(box[side])) for box in corners)]) for side in (2, 3)]
    width, height = file.size or extent
    listed = [
        {"id": place, "category": of, "xywh": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)], "crowd": False}
        for (of, x1, y1, x2, y2), place in boxes.items()
    ]
    scene = {"id": name, "width": width, "height": height, "boxes": listed, "captions": []}
    return scene | {"relations": relations}


def _claim(chosen: Chosen, row: int, of_gold: np.ndarray, rule: Rule, taken: set[int]) -> int | None:
    """The annotated pair of its kind that a detection fits: that which it overlaps best, taken or not, or the
    first that is free."""
    found, gold = chosen.found, chosen.gold
    same = of_gold[gold.kind[of_gold] == found.kind[row]]
    if not len(same):
        return None
    overlap = np.minimum(
        rule.overlap(found.subject_box[row][None], gold.subject_box[same]),
        rule.overlap(found.object_box[row][None], gold.object_box[same]),
    )
    fits = overlap > MIN_IOU if rule.above else overlap >= MIN_IOU
    if not fits.any():
        return None
    if rule.first:
        return next((int(one) for one in same[fits] if int(one) not in taken), None)
    return int(same[np.argmax(np.where(fits, overlap, -1.0))])

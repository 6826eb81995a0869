"""Boxes as a detector gives them, of the world's images."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from relforge.demo.world.dataset import write_split
from relforge.demo.world.detector_boxes import MISSED, TWICE, detect

BOX = (20.0, 30.0, 40.0, 20.0)
SIZE = (128, 96)


def test_boxes_are_moved_missed_and_found_twice_as_often_as_said() -> None:
    rng = np.random.default_rng(0)
    found = [detect([BOX], SIZE, rng) for _ in range(2000)]

    counts = np.bincount([len(one) for one in found]) / len(found)
    assert abs(counts[0] - MISSED) < 0.03
    assert abs(counts[2] - (1 - MISSED) * TWICE) < 0.03
    once = np.array([one[0].box for one in found if len(one) == 1])
    np.testing.assert_allclose(once.mean(0), BOX, atol=0.6)
    assert 2 < once[:, 0].std() < 5  # a twelfth of 40


def test_boxes_that_fit_have_the_higher_scores_and_come_first() -> None:
    rng = np.random.default_rng(0)
    found = [detect([BOX], SIZE, rng) for _ in range(500)]
    rows = [one for both in found for one in both]
    scores = [one.score or 0.0 for one in rows]
    off = [np.abs(np.subtract(one.box, BOX)).mean() for one in rows]

    assert np.corrcoef(off, scores)[0, 1] < -0.3
    assert all(0 < score <= 1 for score in scores)
    assert all((both[0].score or 0) >= (both[1].score or 0) for both in found if len(both) == 2)


def test_boxes_stay_in_the_image() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        for one in detect([(124.0, 90.0, 4.0, 6.0)], SIZE, rng):
            x, y, w, h = one.box
            assert min(x, y) >= 0
            assert min(w, h) >= 1
            assert x + w <= SIZE[0] + 0.1
            assert y + h <= SIZE[1] + 0.1


def test_the_noisy_split_shows_the_same_images_and_keeps_the_relations_of_what_was_found(
    tmp_path: Path,
) -> None:
    clean, noisy = (write_split(tmp_path, name, 12, size=64) for name in ("detection", "detection-noisy"))

    for name in ("images/000001.jpg", "captions.json", "synonyms.json"):
        assert (clean / name).read_bytes() == (noisy / name).read_bytes()
    boxes = json.loads((noisy / "instances.json").read_text())["annotations"]
    assert all(0 < box["score"] <= 1 for box in boxes)
    before, after = (facts_of(folder) for folder in (clean, noisy))
    assert not after - before
    assert 0.3 < after.total() / before.total() < 0.9


def facts_of(folder: Path) -> Counter[tuple[int, str, str, str]]:
    """(image, subject class, predicate, object class) of every relation."""
    facts: Counter[tuple[int, str, str, str]] = Counter()
    for graph in json.loads((folder / "scene_graphs.json").read_text()):
        kind = {thing["object_id"]: thing["names"][0] for thing in graph["objects"]}
        for relation in graph["relationships"]:
            ends = kind[relation["subject_id"]], kind[relation["object_id"]]
            facts[graph["image_id"], ends[0], relation["predicate"], ends[1]] += 1
    return facts

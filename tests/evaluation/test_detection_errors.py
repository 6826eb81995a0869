"""Why detections are wrong: one verdict for each, by hand-made boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relforge.evaluation.annotated import Annotated
from relforge.evaluation.detection_errors import VERDICTS, split_errors
from relforge.evaluation.hico_protocol import PLAIN
from relforge.evaluation.hico_quality import choose_pairs, measure_kinds
from relforge.evaluation.pairs import Pairs

MAN, HORSE, FAR = [0, 0, 40, 80], [30, 40, 90, 90], [200, 200, 240, 240]
RIDING = ("person", "riding", "horse")


def pairs(rows: list[tuple[str, tuple[str, str, str], Any, Any, float]]) -> Pairs:
    images, kinds, subjects, objects, scores = zip(*rows, strict=True)
    subject, predicate, object_ = (np.array(column, object) for column in zip(*kinds, strict=True))
    boxes = [np.array(column, float).reshape(-1, 4) for column in (subjects, objects)]
    image = np.array(images, object)
    return Pairs(image, subject, predicate, object_, boxes[0], boxes[1], np.array(scores))


def annotated(gold: Pairs, images: list[str]) -> Annotated:
    return Annotated(images, np.ones(len(images), bool), gold, None, [set() for _ in images])


GOLD = pairs([("a", RIDING, MAN, HORSE, 1.0), ("b", ("person", "feeding", "cow"), MAN, HORSE, 1.0)])


@pytest.mark.parametrize(
    ("image", "kind", "subject", "object_", "verdict"),
    [
        ("a", RIDING, MAN, HORSE, "right"),
        ("a", ("person", "feeding", "horse"), MAN, HORSE, "relation"),
        ("a", RIDING, FAR, HORSE, "subject box"),
        ("a", RIDING, MAN, FAR, "object box"),
        ("a", RIDING, FAR, FAR, "both boxes"),
        ("a", ("person", "feeding", "cow"), MAN, HORSE, "class"),
        ("b", RIDING, MAN, HORSE, "class"),
        ("b", RIDING, MAN, FAR, "no such pair"),
        ("c", RIDING, MAN, HORSE, "no such pair"),
    ],
)
def test_a_detection_gets_the_first_verdict_that_holds(
    image: str, kind: tuple[str, str, str], subject: Any, object_: Any, verdict: str
) -> None:
    gold = GOLD
    if kind == ("person", "feeding", "horse"):  # it is looked at only where the gold has its kind
        gold = pairs([*rows_of(GOLD), ("b", kind, FAR, FAR, 1.0)])
    found = pairs([(image, kind, subject, object_, 0.9)])
    chosen = choose_pairs(found, annotated(gold, ["a", "b", "c"]), PLAIN)
    errors = split_errors(chosen, PLAIN.rule)
    assert {name: count for name, count in errors.counts().items() if count} == {verdict: 1}
    assert errors.by_predicate()[kind[1]][verdict] == 1
    assert errors.missed.sum() == len(gold) - (verdict == "right")


def rows_of(given: Pairs) -> list[Any]:
    return list(
        zip(given.image, given.kinds(), given.subject_box, given.object_box, given.score, strict=True)
    )


def test_as_many_detections_of_a_kind_as_it_has_gold_are_looked_at_and_repetitions_are_told() -> None:
    gold = pairs([("a", RIDING, MAN, HORSE, 1.0), ("b", RIDING, MAN, HORSE, 1.0)])
    found = pairs([("a", RIDING, MAN, HORSE, score) for score in (0.9, 0.8, 0.7)])
    chosen = choose_pairs(found, annotated(gold, ["a", "b"]), PLAIN)
    counts = split_errors(chosen, PLAIN.rule).counts()
    assert (counts["right"], counts["repeated"], sum(counts.values())) == (1, 1, 2)


def test_right_is_what_the_measure_takes_for_right() -> None:
    rng = np.random.default_rng(0)
    kinds = [RIDING, ("person", "feeding", "horse"), ("person", "riding", "cow")]

    def draw(count: int) -> Pairs:
        low = rng.random((2, count, 2)) * 30
        boxes = np.concatenate([low, low + 60 + rng.random((2, count, 2)) * 30], 2)
        images = rng.integers(0, 6, count).astype(str)
        chosen = [kinds[code] for code in rng.integers(0, 3, count)]
        return pairs(list(zip(images, chosen, boxes[0], boxes[1], rng.random(count), strict=True)))

    gold, found = draw(40), draw(200)
    split = annotated(gold, [str(number) for number in range(6)])
    errors = split_errors(choose_pairs(found, split, PLAIN), PLAIN.rule)
    quality = measure_kinds(found, split, PLAIN)
    assert sum(errors.counts().values()) == len(gold)
    assert 0 < errors.counts()["right"] == len(gold) - errors.missed.sum()
    assert errors.counts()["right"] / len(gold) <= quality.recall + 0.2
    assert set(errors.counts()) == set(VERDICTS)

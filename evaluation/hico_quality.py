"""Average precision of every kind of interaction under a protocol, the frequency prior's beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from relforge.evaluation.annotated import PERSON, Annotated
from relforge.evaluation.evaluator import Measure
from relforge.evaluation.hico_protocol import PLAIN, Protocol
from relforge.evaluation.kind_matches import Coded, Codes, KindMatches, encode
from relforge.evaluation.pair_nms import best_of_images, suppress
from relforge.evaluation.pairs import Kind, Pairs
from relforge.evaluation.prior import frequency_scores


@dataclass(frozen=True)
class DetectionQuality:
    """Results.

    Args:
        average_precision: of every kind that is measured.
        gold: annotated pairs of every kind.
        detections: how many are of annotated kinds.
        prior: average precision of the frequency prior's ranking.
        recall: mean over the annotated kinds of the share of their gold that any detection finds.
        unknown_images: detections of images that the gold does not have; they are left out.
    """

    average_precision: dict[Kind, float]
    gold: dict[Kind, int]
    detections: int
    prior: dict[Kind, float] = field(default_factory=dict)
    recall: float = 0.0
    unknown_images: int = 0

    def mean(self, among: Callable[[Kind], bool] = lambda kind: True) -> float:
        """Mean average precision over the kinds `among` chooses; 0 where there are none."""
        return _mean(self.average_precision, among)

    def measure(self, among: Callable[[Kind], bool]) -> Measure:
        """The mean with the prior's."""
        return Measure(self.mean(among), _mean(self.prior, among))


def _mean(values: Mapping[Kind, float], among: Callable[[Kind], bool]) -> float:
    chosen = [value for kind, value in values.items() if among(kind)]
    return float(np.mean(chosen)) if chosen else 0.0


def measure_detections(detections: Pairs, gold: Pairs, subject: str | None = PERSON) -> DetectionQuality:
    """Compare by the protocol `plain`, every image of either side taking part.

    Args:
        detections: scored pairs; those of a kind the annotation does not have count nowhere.
        gold: annotated pairs.
        subject: only pairs with that subject class (human-object interactions); None: all pairs.
    """
    images = sorted({*gold.image.tolist(), *detections.image.tolist()})
    annotated = Annotated(images, np.ones(len(images), bool), gold, None, [set() for _ in images])
    return measure_kinds(detections, annotated, PLAIN, subject=subject)


def measure_kinds(
    detections: Pairs,
    annotated: Annotated,
    rules: Protocol,
    *,
    subject: str | None = PERSON,
    known_object: bool = False,
    mask: bool = False,
    training: Mapping[Kind, int] | None = None,
) -> DetectionQuality:
    """Compare: mask, cut to the best pairs of an image, suppression, matching, in this order.

    Args:
        subject: only pairs with that subject class; None: all.
        known_object: measure each kind on the images that show its object.
        mask: interactions that the benchmark does not list score 0.
        training: relations of every kind in the training set, for the prior.

    Raises:
        ValueError: a mask without a list of kinds.
    """
    chosen = choose_pairs(detections, annotated, rules, subject=subject, known_object=known_object, mask=mask)
    found, right, kinds = chosen.found, chosen.gold, chosen.kinds
    codes = Codes(annotated.images, kinds)
    matches = KindMatches(found, right, len(kinds), rules.rule)
    positives = matches.positives
    measured = [code for code in range(len(kinds)) if positives[code] or rules.kinds == "listed"]
    values = matches.average_precision(found.score, rules.curve)
    prior = matches.average_precision(frequency_scores(found, right, codes, training), rules.curve)
    recall = matches.recall(found.score)
    return DetectionQuality(
        {kinds[code]: float(values[code]) for code in measured},
        {kinds[code]: int(positives[code]) for code in measured},
        len(matches.rows),
        {kinds[code]: float(prior[code]) for code in measured},
        float(np.nanmean(recall)) if positives.any() else 0.0,
        chosen.unknown_images,
    )


@dataclass(frozen=True)
class Chosen:
    """What a protocol measures.

    Args:
        images, kinds: names by code.
        found, gold: detections and annotated pairs.
        unknown_images: detections of other images.
    """

    images: Sequence[str]
    kinds: list[Kind]
    found: Coded
    gold: Coded
    unknown_images: int


def choose_pairs(
    detections: Pairs,
    annotated: Annotated,
    rules: Protocol,
    *,
    subject: str | None = PERSON,
    known_object: bool = False,
    mask: bool = False,
) -> Chosen:
    """Mask, cut to the best pairs of an image, suppression; arguments as of `measure_kinds`.

    Raises:
        ValueError: a mask without a list of kinds.
    """
    gold = annotated.pairs
    if subject is not None:
        detections, gold = (pairs.take(pairs.subject == subject) for pairs in (detections, gold))
    kinds = list(annotated.kinds) if annotated.kinds is not None else sorted(set(gold.kinds()))
    codes = Codes(annotated.images, kinds)
    found, right = encode(detections, codes), encode(gold, codes)
    unknown = int((found.image < 0).sum())
    found = found.take(found.image >= 0)
    if mask:
        if annotated.kinds is None:
            raise ValueError("mask: only HICO-DET's own 600 interactions can be masked")
        found = replace(found, score=np.where(found.kind >= 0, found.score, 0.0))
    found = _best(found, rules, len(kinds))
    found = found.take(_counts(found, right, annotated, rules, kinds, known_object))
    return Chosen(annotated.images, kinds, found, right, unknown)


def _best(found: Coded, rules: Protocol, kinds: int) -> Coded:
    """The pairs that the protocol measures, of listed kinds."""
    if rules.top is not None:
        found = found.take(best_of_images(found.image, found.score, rules.top))
    found = found.take(found.kind >= 0)
    if rules.nms is not None:
        group = found.image * kinds + found.kind
        found = found.take(suppress(group, found.subject_box, found.object_box, found.score, rules.nms))
    return found


def _counts(
    found: Coded,
    gold: Coded,
    annotated: Annotated,
    rules: Protocol,
    kinds: list[Kind],
    known_object: bool,
) -> np.ndarray:
    """Which detections take part, by their image."""
    part = np.ones(len(found), bool)
    if rules.images == "boxed":
        part &= annotated.boxed[found.image]
    elif rules.images == "related":
        part &= np.isin(found.image, gold.image)
    if known_object:
        names = list(dict.fromkeys(kind[2] for kind in kinds))
        place = {name: number for number, name in enumerate(names)}
        shows = np.zeros((len(annotated.images), len(names)), bool)
        for image, labels in enumerate(annotated.labels):
            shows[image, [place[name] for name in labels if name in place]] = True
        part &= shows[found.image, np.array([place[kind[2]] for kind in kinds], int)[found.kind]]
    return part

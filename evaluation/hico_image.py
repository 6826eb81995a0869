"""Recognition of interactions in whole images by HICO's measure, as DEFR's release computes it.

Per interaction the images are ranked by score; average precision is interpolated at eleven recalls, and the
mean runs over all interactions, those without a positive as 0. Ambiguous images (state 0) are left out of an
interaction; unlabelled ones are negatives, and are left out too in the Known Object setting. Few@k is the
mean over interactions with at most k training images: for HICO's 600 the release's lists, else counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from relforge.data.image_labels import ImageLabels, read_image_labels
from relforge.data.image_loading import logits_of
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.evaluation.image_scores import read_image_scores, write_image_scores
from relforge.models.files import PUBLISHED_SUFFIXES
from relforge.models.image_recogniser import image_recogniser
from relforge.models.published import load_pretrained
from relforge.stages.hico_lists import read_lists
from relforge.stages.image_labels.table import AMBIGUOUS, POSITIVE, UNLABELLED
from relforge.stages.interactions import HICO600, Interactions, read_interactions

THRESHOLDS = np.array([step * 0.1 if step < 5 else 1 - 0.1 * (10 - step) for step in range(11)])
"""Recalls of the interpolation, to the last bit as the release has them: 0.30000000000000004, 0.6, 0.7."""
FEW = (1, 5, 10)


@dataclass(frozen=True)
class ImageGold:
    """Args:
    labels: of the measured images.
    few: k -> interactions with at most k training images; empty where nothing says so.
    training: positive training images of every interaction; None where nothing says so.
    """

    labels: ImageLabels
    few: dict[int, list[int]]
    training: np.ndarray | None = None


@dataclass(frozen=True)
class HicoImageEvaluator:
    """The benchmark `hico_image`.

    Args:
        annotations: `anno.mat`, the same as JSON, or a run folder with `gold`.
        split: of a HICO file.
        training: file or run folder that Few@k is counted in, for other interactions than HICO's 600.
        training_labels: of a training run folder: `gold` or `image_labels`.
        interactions: table to measure; by default all of the annotation.
        images: folder of a HICO file's images; read only where a model scores.
        write: file that the scores of a model are written to.
        batch, device: of a model.
        kind: `package.module:NAME` of the family of a model that is of none of the zoo's.
    """

    annotations: str
    split: str = "test"
    training: str = ""
    training_labels: str = "gold"
    interactions: str = ""
    images: str = ""
    write: str = ""
    batch: int = 16
    device: str = "cpu"
    kind: str | None = None

    def read_gold(self, target: str) -> ImageGold:
        return self.gold_of(self.interactions)

    def gold_of(self, interactions: str | Interactions) -> ImageGold:
        """The gold of a table, or of these interactions in their order."""
        labels = read_image_labels(
            self.annotations, split=self.split, images=self.images, interactions=interactions
        )
        if self.training:
            training = read_image_labels(
                self.training, labels=self.training_labels, interactions=labels.interactions
            )
            counts = (training.states == POSITIVE).sum(0)
            return ImageGold(labels, {k: np.flatnonzero(counts <= k).tolist() for k in FEW}, counts)
        if labels.interactions == read_interactions(HICO600):
            lists = read_lists()["few"]
            return ImageGold(labels, {k: lists[str(k)] for k in FEW})
        return ImageGold(labels, {})

    def read_detections(self, target: str, gold: ImageGold) -> np.ndarray:
        """N x C scores: of a model's folder or file, a table, or a run folder's own `image_labels`."""
        path = Path(target)
        if (path / "image_labels").is_dir():
            votes = read_image_labels(target, labels="image_labels", interactions=gold.labels.interactions)
            return _align(votes, gold.labels, target)
        if not (path / "config.json").is_file() and path.suffix not in PUBLISHED_SUFFIXES:
            return read_image_scores(target, gold.labels)
        scores = self._score(target, gold.labels)
        if self.write:
            write_image_scores(Path(self.write), gold.labels.image_ids, gold.labels.interactions, scores)
        return scores

    def measure(self, detections: np.ndarray, gold: ImageGold) -> Result:
        """Raises:
        ValueError: the gold shows none of the interactions.
        """
        states = gold.labels.states
        positives = (states == POSITIVE).sum(0)
        if not positives.any():
            raise ValueError(f"{self.annotations}: no image shows any of the interactions")
        precision = image_average_precision(detections, states)
        known = image_average_precision(detections, states, known_object=True)
        # every image alike, ranked by chance: the share of positives among those that count
        prior = positives / np.maximum((states != AMBIGUOUS).sum(0), 1)
        measures = {
            "mean_average_precision": Measure(float(precision.mean()), float(prior.mean())),
            "mean_average_precision_known_object": Measure(float(known.mean())),
        }
        for k, codes in gold.few.items():
            if codes:
                value, chance = float(precision[codes].mean()), float(prior[codes].mean())
                measures[f"mean_average_precision_few_{k}"] = Measure(value, chance)
        classes: list[Row] = []
        for code, (verb, object_) in enumerate(gold.labels.interactions):
            row: Row = {"verb": verb, "object": object_, "gold": int(positives[code])}
            row["average_precision"] = float(precision[code])
            row["average_precision_known_object"] = float(known[code])
            if gold.training is not None:
                row["training"] = int(gold.training[code])
            classes.append(row)
        counts = {
            "images": len(gold.labels),
            "interactions": len(classes),
            "interactions_without_positive": int((positives == 0).sum()),
            "positives": int(positives.sum()),
            "ambiguous": int((states == AMBIGUOUS).sum()),
        }
        counts |= {f"interactions_few_{k}": len(codes) for k, codes in gold.few.items()}
        return Result("hico_image", "release", measures, counts, classes)

    def _score(self, target: str, labels: ImageLabels) -> np.ndarray:
        if None in labels.uris and None in labels.embedded:
            raise ValueError(f"{target} is a model: say with images=FOLDER where the images are")
        loaded = load_pretrained(target, trusted=self.kind)
        model = image_recogniser(loaded.model.to(self.device), loaded.blueprint.kind)
        order = class_order(loaded.blueprint.interactions, labels.interactions, target)
        parts = list(logits_of(model, labels, self.batch, self.device))
        return torch.cat(parts).double().numpy()[:, order]


def class_order(own: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]], model: str) -> np.ndarray:
    """Places of the wanted interactions among a model's; those of a released checkpoint, which has no names,
    go by number.

    Raises:
        ValueError: the model does not tell one of them.
    """
    unnamed = all(verb == f"interaction {code}" for code, (verb, _) in enumerate(own))
    if unnamed and len(own) == len(wanted):
        return np.arange(len(own))
    place = {tuple(pair): code for code, pair in enumerate(own)}
    if missing := [pair for pair in wanted if tuple(pair) not in place]:
        raise ValueError(
            f"{model} has no class {' '.join(missing[0])!r}; measure those it has with interactions=TABLE"
        )
    return np.array([place[tuple(pair)] for pair in wanted])


def image_average_precision(scores: np.ndarray, states: np.ndarray, known_object: bool = False) -> np.ndarray:
    """11-point average precision of every interaction, C; equal scores keep the order of the images.

    Args:
        scores: N x C.
        states: N x C of 1, 0, -1, -2.
        known_object: leave out unlabelled images.
    """
    out = np.zeros(states.shape[1])
    for code in range(states.shape[1]):
        state = states[:, code]
        counted = (state != AMBIGUOUS) & ((state != UNLABELLED) | (not known_object))
        shown, score = state[counted] == POSITIVE, scores[counted, code]
        total = int(shown.sum())
        if not total:
            continue
        hits = np.cumsum(shown[np.argsort(-score, kind="stable")])
        precision, recall = hits / np.arange(1, len(hits) + 1), hits / total
        best = np.maximum.accumulate(precision[::-1])[::-1]
        first = np.searchsorted(recall, THRESHOLDS)  # recall never falls
        reached = first < len(best)
        out[code] = best[first[reached]].sum() / len(THRESHOLDS)
    return out


def _align(votes: ImageLabels, gold: ImageLabels, target: str) -> np.ndarray:
    row = {image: number for number, image in enumerate(votes.image_ids)}
    rows = np.array([row.get(image, -1) for image in gold.image_ids])
    if (rows < 0).all():
        raise ValueError(f"{target} has none of the images of the gold")
    assert votes.votes is not None
    scores = votes.votes.astype(float)[np.maximum(rows, 0)]
    scores[rows < 0] = -np.inf
    return scores

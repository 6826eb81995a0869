"""Teach what proposes relations that nobody says: an output a predicate of the gold, over all pairs."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.ground.model import hash_image
from relforge.stages.ground.words import WordVectors, predicate_keys
from relforge.stages.propose.model import ProposalModel, class_width, join_pair
from relforge.stages.propose.pairs import list_pairs
from relforge.trainer.ground.calibrate import calibrate
from relforge.trainer.ground.fit import FOLDS, MEMBERS
from relforge.trainer.ground.perceptron import Settings, fit
from relforge.trainer.ground.vectors import count_class_vectors

MIN_GOLD = 10
"""Gold relations of a predicate at least; a rarer one is not proposed."""
MAX_PAIRS = 1_000_000
"""To learn from at most, of whole images in the order of their hashes: that of a file of any size fits."""
STEPS = (400, 1600, 6400)
"""Lengths of the training; held-out images choose."""
THRESHOLD = 0.2
"""At which precision and recall are measured: the stage's default."""
_SETTINGS = Settings(batch_size=512, dropout=0.1, hide=0.1)
_MAX_VALUES = 10_000_000
"""Probabilities to calibrate by at most."""


@dataclass(frozen=True)
class _Material:
    """All pairs that are learnt from.

    Args:
        features: N x F.
        right: N x predicates, bool.
        fold: N, of the image.
        names: of the images.
    """

    features: np.ndarray
    right: np.ndarray
    fold: np.ndarray
    names: Sequence[str]


def teach_proposals(
    given: Sequence[Mapping[str, pa.Table]], without: Collection[str] = (), seed: int = 0
) -> tuple[ProposalModel, dict[str, float]]:
    """Fit perceptrons for each half of the images, on the other half; what they say of the images that they
    did not see chooses how long they are trained, and calibrates them.

    Images without a gold relation are left out: nobody may have looked at them.

    Args:
        given: `images`, `boxes` and `gold` of each source.
        without: predicates that are not proposed, in lemmas.

    Returns:
        the model, and measures on held-out images: `pairs`, `images`, `steps`, `log_loss`,
        `average_precision` (of all pairs and predicates together), `threshold`, and `precision` and `recall`
        from there on.

    Raises:
        ValueError: no predicate has enough gold, or there are too few images.
    """
    spoken = [_lemmas(tables["gold"]) for tables in given]
    predicates = _choose([tables["gold"] for tables in given], spoken, set(without))
    if not predicates:
        raise ValueError(f"no predicate has {MIN_GOLD} gold relations, so there is nothing to learn")
    relations = [one for tables, words in zip(given, spoken, strict=True) for one in _by_class(tables, words)]
    words = count_class_vectors([one for one in relations if one[1] in predicates])
    stuff = _gather(given, spoken, list(predicates), words)
    best: tuple[float, ProposalModel, dict[str, float]] | None = None
    stride = max(1, math.ceil(stuff.right.size / _MAX_VALUES))
    for steps in STEPS:
        rounds = max(1, round(steps * _SETTINGS.batch_size / max(len(stuff.right), 1)))
        model = _fit(stuff, list(predicates.values()), words, replace(_SETTINGS, epochs=rounds), seed)
        logits = np.zeros(stuff.right.shape)
        for held_out, one in model.perceptrons:
            rows = stuff.fold == held_out
            logits[rows] += one.outputs(stuff.features[rows]) / MEMBERS
        flat, right = logits[::stride].reshape(-1), stuff.right[::stride].reshape(-1)
        calibration, measures = calibrate(flat, right)
        measures |= {"pairs": len(stuff.right), "images": len(stuff.names), "steps": steps}
        likely = 1 / (1 + np.exp(-(calibration[0] + calibration[1] * flat))) >= THRESHOLD
        hits = int((likely & right).sum())
        measures |= {
            "threshold": THRESHOLD,
            "precision": round(hits / max(int(likely.sum()), 1), 4),
            "recall": round(hits / max(int(right.sum()), 1), 4),
        }
        if best is None or measures["log_loss"] < best[0]:
            best = measures["log_loss"], replace(model, calibration=calibration), measures
    assert best is not None
    return best[1:]


def hash_gold(tables: Mapping[str, pa.Table]) -> str:
    """SHA-256 of the boxes and gold relations, for the card."""
    found = hashlib.sha256()
    for name in ("images", "boxes", "gold"):
        keep = [one for one in tables[name].column_names if one not in ("bytes", "uri")]
        for row in tables[name].select(keep).to_pylist():
            found.update(repr(row).encode())
    return found.hexdigest()


def _lemmas(gold: pa.Table) -> list[str]:
    return [next(iter(predicate_keys(one)), one) for one in gold["predicate"].to_pylist()]


def _choose(golds: Sequence[pa.Table], spoken: Sequence[list[str]], without: set[str]) -> dict[str, str]:
    """Lemma -> its commonest wording, of those that are proposed."""
    wordings: dict[str, Counter[str]] = {}
    for gold, lemmas in zip(golds, spoken, strict=True):
        for text, lemma in zip(gold["predicate"].to_pylist(), lemmas, strict=True):
            wordings.setdefault(lemma, Counter())[text] += 1
    return {
        lemma: min(found, key=lambda text: (-found[text], text))
        for lemma, found in sorted(wordings.items())
        if found.total() >= MIN_GOLD and not without & set(predicate_keys(lemma))
    }


def _by_class(tables: Mapping[str, pa.Table], lemmas: Sequence[str]) -> list[tuple[str, str, str]]:
    boxes = tables["boxes"]
    keys = zip(boxes["image_id"].to_pylist(), boxes["box_id"].to_pylist(), strict=True)
    category = dict(zip(keys, boxes["category"].to_pylist(), strict=True))
    names, subject, object_ = (tables["gold"][one].to_pylist() for one in ("image_id", *_ENDS))
    rows = zip(names, subject, lemmas, object_, strict=True)
    return [(category[name, a], lemma, category[name, b]) for name, a, lemma, b in rows]


_ENDS = ("subject_box", "object_box")


def _gather(
    given: Sequence[Mapping[str, pa.Table]],
    spoken: Sequence[list[str]],
    predicates: Sequence[str],
    words: WordVectors,
) -> _Material:
    output = {lemma: at for at, lemma in enumerate(predicates)}
    features, right, fold, names = [], [], [], []
    left = MAX_PAIRS
    for tables, lemmas in zip(given, spoken, strict=True):
        gold = tables["gold"]
        known = set(gold["image_id"].to_pylist())
        images = tables["images"].filter(pc.is_in(tables["images"]["image_id"], pa.array(sorted(known))))
        order = np.argsort([hash_image(one) for one in images["image_id"].to_pylist()], kind="stable")
        images = images.take(pa.array(order))
        box_id = tables["boxes"]["box_id"].to_numpy()
        stated: dict[tuple[str, int, int], list[int]] = {}
        rows = zip(
            gold["image_id"].to_pylist(), *(gold[end].to_pylist() for end in _ENDS), lemmas, strict=True
        )
        for name, subject, object_, lemma in rows:
            if lemma in output:
                stated.setdefault((name, subject, object_), []).append(output[lemma])
        for pairs in list_pairs(images, tables["boxes"], max_boxes=100):
            if left <= 0:
                break
            left -= len(pairs.image)
            of_image = np.array([hash_image(one) % FOLDS for one in pairs.images], np.int64)
            labels = np.zeros((len(pairs.image), len(predicates)), bool)
            ends = box_id[pairs.subject_box].tolist(), box_id[pairs.object_box].tolist()
            for at, (image, *pair) in enumerate(zip(pairs.image.tolist(), *ends, strict=True)):
                labels[at, stated.get((pairs.images[image], *pair), [])] = True
            features.append(join_pair(pairs, words))
            right.append(labels)
            fold.append(of_image[pairs.image])
            names += [pairs.images[at] for at in np.unique(pairs.image)]
    if not features:
        raise ValueError("no image with gold relations has two boxes")
    return _Material(np.concatenate(features), np.concatenate(right), np.concatenate(fold), names)


def _fit(
    stuff: _Material, predicates: Sequence[str], words: WordVectors, settings: Settings, seed: int
) -> ProposalModel:
    fitted = []
    for held_out in range(FOLDS):
        rows = stuff.fold != held_out
        if not stuff.right[rows].any():
            raise ValueError("too few images: one half of them has no gold relation that could be proposed")
        features, right = stuff.features[rows], stuff.right[rows].astype(np.float32)
        for member in range(MEMBERS):
            own_seed = seed + MEMBERS * held_out + member
            weight = np.ones(len(right))
            fitted.append((held_out, fit(features, right, weight, class_width(words), own_seed, settings)))
    seen = frozenset(hash_image(name) for name in stuff.names)
    return ProposalModel(predicates, words, fitted, (0.0, 1.0), seen)

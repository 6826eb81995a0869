"""The gold of a benchmark of pairs: its images, its relations, and what it labels images with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from relforge.data.hoi import NO_OBJECT, HoiData
from relforge.data.relations import RelationData
from relforge.evaluation.pairs import Kind, Pairs, gold_pairs, spell_classes

PERSON = "person"


@dataclass(frozen=True)
class Annotated:
    """A split.

    Args:
        images: id of every image, with and without relations.
        boxed: whether each image has any annotated box.
        pairs: every annotated relation.
        kinds: kinds that are measured; None: those of `pairs`.
        labels: per image the object classes that it shows, by box or by label.
        reasons: what was left out while reading.
    """

    images: list[str]
    boxed: np.ndarray
    pairs: Pairs
    kinds: Sequence[Kind] | None
    labels: list[set[str]]
    reasons: Counter[str] = field(default_factory=Counter)

    def spell(self, detections: Pairs) -> Pairs:
        """Detections with the classes spelt as here, where they mean the same."""
        kinds = self.kinds if self.kinds is not None else self.pairs.kinds()
        subjects, _, objects = zip(*kinds, strict=True) if kinds else ((), (), ())
        return spell_classes(detections, dict.fromkeys(subjects), dict.fromkeys(objects))


def image_id(file_name: str) -> str:
    """Images of the field's files are identified by their file names without folder and ending."""
    return PurePosixPath(file_name).stem


def of_hoi(data: HoiData, kinds: Sequence[Kind] | None = None, subject: str | None = PERSON) -> Annotated:
    """From human-object interactions; rows without an object are left out.

    Args:
        subject: name of every subject, whatever its box's class; None: the class of its box.
    """
    objects, verbs = (np.array(names, object) for names in (data.objects, data.verbs))
    ids = [image_id(image.file_name) for image in data.images]
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("image", "subject", "verb", "object", "subject_box", "object_box")
    }
    labels = []
    for name, image in zip(ids, data.images, strict=True):
        rows = image.interactions[image.interactions[:, 1] != NO_OBJECT]
        parts["image"].append(np.full(len(rows), name, object))
        parts["subject"].append(image.classes[rows[:, 0]])
        parts["object"].append(image.classes[rows[:, 1]])
        parts["verb"].append(rows[:, 2])
        parts["subject_box"].append(image.boxes[rows[:, 0]])
        parts["object_box"].append(image.boxes[rows[:, 1]])
        labels.append({data.objects[code] for code in (*image.labels, *image.classes[rows[:, 1]].tolist())})
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    count = len(columns["image"])
    pairs = Pairs(
        image=columns["image"],
        subject=objects[columns["subject"]] if subject is None else np.full(count, subject, object),
        predicate=verbs[columns["verb"]],
        object=objects[columns["object"]],
        subject_box=columns["subject_box"],
        object_box=columns["object_box"],
        score=np.ones(count),
    )
    boxed = np.array([len(image.boxes) > 0 for image in data.images], bool)
    return Annotated(ids, boxed, pairs, kinds, labels, data.reasons)


def of_relations(data: RelationData) -> Annotated:
    """From a data set that ingest reads."""
    pairs = gold_pairs(data)
    ids = data.images["image_id"].to_pylist()
    labels: dict[str, set[str]] = {image: set() for image in ids}
    for image, name in zip(pairs.image.tolist(), pairs.object.tolist(), strict=True):
        labels[image].add(name)
    return Annotated(ids, np.diff(data.box_start) > 0, pairs, None, list(labels.values()))

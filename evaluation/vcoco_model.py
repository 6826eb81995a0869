"""A model's detections as V-COCO measures them: every query, its likeliest object, no cut and no
suppression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relforge.data import hico
from relforge.data.hoi import MISSING
from relforge.data.relations import RelationData
from relforge.data.vcoco_actions import COLUMNS, PROMPTS
from relforge.data.vcoco_images import image_number
from relforge.evaluation.detect import PERSON, DetectOptions, closed_labels, search
from relforge.evaluation.vcoco_detections import VcocoDetections, of_pairs
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded
from relforge.models.detections import Detections
from relforge.models.zoo import family
from relforge.stages.class_names import class_key


def detect_vcoco(
    loaded: Loaded,
    data: RelationData,
    images: Sequence[int],
    options: DetectOptions,
    mask: np.ndarray | None,
    people_only: bool,
) -> VcocoDetections:
    """Search every image.

    Args:
        loaded: a model whose relations are the 29 prompts or columns, or any with open labels.
        data: images with the benchmark's classes (`RelationData.categories`), `MISSING` among them.
        images: COCO ids of the gold's images; others are left out.
        mask: 29 x classes of `data`, 0 where a column does not go with a class.
        people_only: leave out queries whose subject is no person.

    Raises:
        ValueError: the model finds no pairs, or was not trained on one of the columns.
    """
    blueprint = loaded.blueprint
    labels = Labels([*data.categories, NO_OBJECTS], list(PROMPTS))
    if family(blueprint.kind).labels == "closed":
        labels = closed_labels(blueprint, data.categories, PROMPTS)
    order = [_place(labels.relations, *names) for names in zip(PROMPTS, COLUMNS, strict=True)]
    allowed = None
    if mask is not None:
        of_class = {class_key(name): mask[:, code] for code, name in enumerate(data.categories)}
        blank = np.ones(len(COLUMNS))
        allowed = np.stack([of_class.get(class_key(name), blank) for name in labels.objects[:-1]], 1)
    people = [class_key(name) == PERSON for name in labels.objects]
    place = {number: row for row, number in enumerate(images)}
    found, rows, sizes = [], [], []
    for index, one in search(loaded, data, labels, options):
        number = place.get(image_number(data.images["image_id"][index].as_py()))
        if number is None:
            continue
        one.relation_scores = one.relation_scores[:, order]
        if people_only and one.subject_classes is not None:
            one = _take(one, np.flatnonzero(np.array(people)[one.subject_classes.numpy()]))
        found.append(one)
        rows.append(number)
        sizes.append(data[index].size[::-1])
    return of_model(found, np.array(rows, np.int64), sizes, allowed, labels.objects[:-1])


def of_model(
    found: Sequence[Detections],
    image: np.ndarray,
    sizes: Sequence[tuple[int, int]],
    mask: np.ndarray | None,
    classes: Sequence[str] = (*hico.objects(), MISSING),
) -> VcocoDetections:
    """What a model detects.

    A score is the sigmoid of the relation times the probability of the object times the mask; an object of
    the class `MISSING` has no box.

    Args:
        found: one per image, with the 29 columns as relations.
        image: places in the gold's images.
        sizes: (height, width) of every image, pixels.
        mask: 29 x classes; 29 x 80 as `corre_vcoco.npy` stands for COCO's classes, and `MISSING` goes with
            all.
        classes: names of the objects.
    """
    names = np.array(classes, object)
    allowed = np.ones((len(COLUMNS), len(names)))
    if mask is not None:
        allowed[:, : mask.shape[1]] = mask
    parts = []
    for one, (height, width) in zip(found, sizes, strict=True):
        scale = np.array([width, height, width, height], np.float32)
        codes = one.object_classes.numpy()
        object_box = one.object_boxes.numpy() * scale
        object_box[names[codes] == MISSING] = np.nan
        scores = (one.relation_scores * one.object_scores[:, None]).numpy() * allowed[:, codes].T
        parts.append((one.subject_boxes.numpy() * scale, object_box, scores, codes))
    person_box, object_box, scores, codes = (np.concatenate(column) for column in zip(*parts, strict=True))
    columns = {name: scores[:, place] for place, name in enumerate(COLUMNS)}
    per_image = [len(part[3]) for part in parts]
    return of_pairs(np.repeat(image, per_image), person_box, object_box, columns, names[codes])


def read_mask(path: str, classes: Sequence[str]) -> np.ndarray:
    """`corre_vcoco.npy` for some classes: 29 x classes, ones for `MISSING`.

    Args:
        classes: of the benchmark; the columns of the file are those but `MISSING`.

    Raises:
        ValueError: it is no such array.
    """
    known = [name for name in classes if name != MISSING]
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"mask: {path} is no NumPy array: {error}") from error
    if table.shape != (len(COLUMNS), len(known)):
        raise ValueError(f"mask: {path} is {table.shape}; expected 29 columns x {len(known)} classes")
    whole = dict(zip(known, table.T, strict=True))
    return np.stack([whole.get(name, np.ones(len(COLUMNS))) for name in classes], 1)


def _take(one: Detections, rows: np.ndarray) -> Detections:
    assert one.subject_classes is not None
    return Detections(
        one.subject_boxes[rows],
        one.object_boxes[rows],
        one.subject_classes[rows],
        one.object_classes[rows],
        one.subject_scores[rows],
        one.object_scores[rows],
        one.relation_scores[rows],
    )


def _place(relations: Sequence[str], prompt: str, column: str) -> int:
    for name in (prompt, column):
        if name in relations:
            return relations.index(name)
    raise ValueError(f"this model was not trained on V-COCO's {prompt!r}; its relations are others")

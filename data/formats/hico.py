"""HICO-DET's list of images (PPDM, QPIC, RLIPv2): `trainval_hico.json`, `test_hico.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from relforge.data import hico
from relforge.data.formats.hico_names import as_hico
from relforge.data.formats.hoi_list import write_list
from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, Written, drop_rows_without_object
from relforge.data.vocabulary import Vocabulary
from relforge.stages.class_names import class_key
from relforge.stages.export.hico import FIRST_OTHER_CLASS
from relforge.stages.hico_lists import object_ids


def write(data: HoiData, path: Path, person: str = "person", official: bool = False) -> Written:
    """Write one list.

    Args:
        person: class whose rows are written, in any spelling.
        official: in HICO-DET's names and numbers alone; else other names have numbers behind them.
    """
    if official:
        data, left_out = as_hico(data, False)
    else:
        data, reasons = drop_rows_without_object(data)
        data, others = only_people(data, person)
        left_out = reasons + Counter(subject_is_no_person=others)
    write_hico(path, data, vocabulary_of([data]))
    return Written(data, left_out)


def write_hico(path: Path, data: HoiData, names: Vocabulary) -> None:
    """Write a split.

    Args:
        names: of `vocabulary_of` or `official`; it has every name of `data`.
    """
    number, verb_number = ({name: key for key, name in one.items()} for one in (names.objects, names.verbs))
    of_pair = {pair: place for place, pair in enumerate(names.interactions, 1)}
    places = {
        (verb, code): of_pair[name, of]
        for verb, name in enumerate(data.verbs)
        for code, of in enumerate(data.objects)
        if (name, of) in of_pair
    }
    write_list(
        path,
        data,
        [number.get(name, -1) for name in data.objects],
        [verb_number[name] for name in data.verbs],
        interaction_numbers=places,
    )


def read(annotations: str, vocabulary: str = "", half: str = "train") -> HoiData:
    """Read `trainval_hico.json` or its like, `instances_train2015.json` or `anno_bbox.mat`
    (`hico.read_hico`).

    Args:
        vocabulary: JSON of the names behind the numbers of a list that has others than HICO-DET.
        half: `train` or `test`, of the `.mat`.
    """
    return hico.read_hico(annotations, half, vocabulary)


def vocabulary_of(splits: Iterable[HoiData]) -> Vocabulary:
    """Numbers for the names of some splits: HICO-DET's where all are its own; else classes of the 80 keep
    COCO's id, others follow from 91, and verbs are numbered from 1.

    Its interactions are those that occur.
    """
    splits = list(splits)
    objects = list(dict.fromkeys(name for data in splits for name in data.objects if name != MISSING))
    verbs = list(dict.fromkeys(name for data in splits for name in data.verbs))
    ours = hico.official()
    if set(objects) <= set(ours.object_names) and set(verbs) <= set(ours.verb_names):
        return ours
    known = {class_key(name): number for name, number in object_ids().items()}
    numbers: dict[int, str] = {}
    for name in objects:
        number = known.pop(class_key(name), None)
        numbers[max([FIRST_OTHER_CLASS - 1, *numbers]) + 1 if number is None else number] = name
    seen = {
        (data.verbs[verb], data.objects[image.classes[end]])
        for data in splits
        for image in data.images
        for _, end, verb in image.interactions.tolist()
        if end != NO_OBJECT
    }
    order = {name: place for place, name in enumerate((*verbs, *objects))}
    pairs = tuple(sorted(seen, key=lambda pair: (order[pair[1]], order[pair[0]])))
    return Vocabulary(dict(sorted(numbers.items())), dict(enumerate(verbs, 1)), pairs)


def only_people(data: HoiData, person: str = "person") -> tuple[HoiData, int]:
    """Only the rows whose subject is a person, and how many others there were."""
    people = [class_key(name) == class_key(person) for name in data.objects]
    images, left_out = [], 0
    for image in data.images:
        kept = np.array(people, bool)[image.classes][image.interactions[:, 0]]
        left_out += int((~kept).sum())
        images.append(replace(image, interactions=image.interactions[kept]))
    return replace(data, images=images), left_out

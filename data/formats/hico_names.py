"""Data of other names in HICO-DET's: its 80 classes, 117 verbs and, where asked for, 600 interactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from relforge.data import hico
from relforge.data.hoi import NO_OBJECT, HoiData
from relforge.data.vcoco_actions import COLUMNS, PROMPTS
from relforge.stages.class_names import class_key
from relforge.stages.parse.inflection import verb_forms

_OF_VCOCO = {
    "sit_instr": "sit on",
    "ride_instr": "ride",
    "look_obj": "watch",
    "lay_instr": "lie on",
    "talk_on_phone_instr": "talk on",
    "work_on_computer_instr": "type on",
    "drink_instr": "drink with",
}
"""V-COCO's columns that HICO-DET words otherwise."""


def as_hico(data: HoiData, interactions: bool) -> tuple[HoiData, Counter[str]]:
    """The data in HICO-DET's names ("riding", "rides" and V-COCO's `ride_instr` are "ride"), and what that
    leaves out.

    Args:
        interactions: keep only rows that are one of the 600.

    Returns:
        the data; reasons `no_hico_class` (boxes), `row_without_object`, `no_hico_verb`,
        `row_of_box_set_aside`, `subject_is_no_person`, `no_hico_interaction`.
    """
    same = list(data.objects) == hico.objects() and list(data.verbs) == hico.verbs()
    if same and not interactions:
        return data, Counter()
    classes, verbs = np.array(_classes(data.objects)), np.array(_verbs(data.verbs))
    allowed, person = hico.correct_verbs(), hico.objects().index("person")
    reasons: Counter[str] = Counter()
    images = []
    for image in data.images:
        codes = classes[image.classes] if len(image.classes) else image.classes
        kept = codes >= 0
        reasons["no_hico_class"] += int((~kept).sum())
        place = np.append(np.where(kept, np.cumsum(kept) - 1, NO_OBJECT), NO_OBJECT)
        rows = []
        for subject, end, verb in image.interactions.tolist():
            number = verbs[verb]
            if end == NO_OBJECT:
                reasons["row_without_object"] += 1
            elif number < 0:
                reasons["no_hico_verb"] += 1
            elif not (kept[subject] and kept[end]):
                reasons["row_of_box_set_aside"] += 1
            elif codes[subject] != person:
                reasons["subject_is_no_person"] += 1
            elif interactions and not allowed[number, codes[end]]:
                reasons["no_hico_interaction"] += 1
            else:
                rows.append((place[subject], place[end], number))
        unique = list(dict.fromkeys(rows))
        reasons["repeated_row"] += len(rows) - len(unique)
        images.append(
            replace(
                image,
                boxes=image.boxes[kept],
                classes=codes[kept],
                interactions=np.array(unique, np.int64).reshape(-1, 3),
                labels=image.labels if same else (),
                hidden=image.hidden if same else (),
                labelled=None,
                crowd=None if image.crowd is None else image.crowd[kept],
            )
        )
    return HoiData(images, hico.objects(), hico.verbs(), data.reasons), +reasons


def _classes(names: Sequence[str]) -> list[int]:
    known = {class_key(name): code for code, name in enumerate(hico.objects())}
    return [known.get(class_key(name), -1) for name in names]


def _verbs(names: Sequence[str]) -> list[int]:
    forms = {form: code for code, verb in enumerate(hico.verbs()) for form in verb_forms(verb)}
    of_column = dict(zip(COLUMNS, PROMPTS, strict=True)) | _OF_VCOCO
    plain = [of_column.get(name, name) for name in names]
    return [forms.get(" ".join(name.casefold().replace("_", " ").split()), -1) for name in plain]

"""HICO-DET's lists, and its annotation from any of the three files that people have.

* PPDM / QPIC: `trainval_hico.json`, `test_hico.json`, a list of images (`hoi_json`).
* fredzzhang/hicodet: `instances_train2015.json`, `instances_test2015.json`, parallel lists `filenames`,
  `annotation` (boxes_h, boxes_o, hoi, object, verb), `size`, `objects`, `verbs`, `correspondence`.
* the official `anno_bbox.mat`: structs `bbox_train`, `bbox_test`, whose corners are 1-based.

`stages/hico_lists.json` holds the benchmark's facts: the 80 objects with COCO's ids, the 117 verbs as
prompts, the 600 interactions in order and the unseen interactions of four zero-shot splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from relforge.data.hoi import HoiData, HoiImage, is_box
from relforge.data.hoi_json import load_json, read_hoi_json
from relforge.data.vocabulary import Vocabulary, read_vocabulary
from relforge.stages.hico_lists import read_lists
from relforge.stages.ingest.values import as_pixels, as_text

UNSEEN_SPLITS = ("UC-RF", "UC-NF", "UO", "UV")


def objects() -> list[str]:
    """80 object names in COCO's order."""
    return list(read_lists()["objects"])


def coco_codes() -> dict[int, int]:
    """COCO category id -> place in `objects()`."""
    return {number: code for code, number in enumerate(read_lists()["coco_ids"])}


def verbs() -> list[str]:
    """117 verbs as prompts, e.g. "brush with" and "no interaction"."""
    return list(read_lists()["verbs"])


def interactions() -> list[tuple[str, str]]:
    """The 600 (verb, object) in HICO's order."""
    return [(verbs()[verb], objects()[place]) for verb, place in read_lists()["interactions"]]


@cache
def unseen(split: str) -> tuple[tuple[str, str], ...]:
    """Interactions that training does not show in a zero-shot split.

    Raises:
        ValueError: no such split.
    """
    if split not in UNSEEN_SPLITS:
        raise ValueError(f"no split {split!r}; the splits are {', '.join(UNSEEN_SPLITS)}")
    every = interactions()
    return tuple(every[number] for number in read_lists()["unseen"][split])


def correct_verbs() -> np.ndarray:
    """117 x 80: whether (verb, object) is one of the 600, as `corre_hico.npy`."""
    mask = np.zeros((len(verbs()), len(objects())), bool)
    mask[tuple(np.array(read_lists()["interactions"]).T)] = True
    return mask


def read_hico(path: str, split: str = "test", vocabulary: str = "") -> HoiData:
    """Read any of the three files; which one it is shows in the file.

    Args:
        split: `train` or `test`, for the `.mat` that holds both.
        vocabulary: JSON of the names behind a list's numbers (`relforge.data.vocabulary`), for lists of other
            names than HICO-DET's. Without it the names beside the numbers count, where every number has one.

    Raises:
        ValueError: the file is of none of these forms.
        OSError: it cannot be read.
    """
    if path.endswith(".mat"):
        return _read_mat(path, split)
    document = load_json(path)
    if isinstance(document, dict):
        return _read_instances(path, document)
    names = read_vocabulary(vocabulary) if vocabulary else names_beside(document) or official()
    return read_hoi_json(
        path, names.object_names, names.verb_names, names.object_codes, names.verb_codes, document=document
    )


def official() -> Vocabulary:
    """HICO-DET's own lists, by the numbers of PPDM's files."""
    of_verbs = dict(enumerate(verbs(), 1))
    return Vocabulary(dict(zip(coco_codes(), objects(), strict=True)), of_verbs, tuple(interactions()))


def names_beside(document: Any, verb: str = "verb") -> Vocabulary | None:
    """Names by number where every number has one beside it, as relforge writes them; None where some has
    none, or all are HICO-DET's.

    Args:
        verb: key of a row's verb; empty: only the classes matter.
    """
    categories: dict[int, str] = {}
    named: dict[int, str] = {}
    try:
        for record in document:
            for box in record["annotations"]:
                categories[box["category_id"]] = box["category"]
            for row in record["hoi_annotation"] if verb else ():
                named[row["category_id"]] = row[verb]
        found = Vocabulary(dict(sorted(categories.items())), dict(sorted(named.items())))
    except (KeyError, TypeError):
        return None
    if not all(as_text(name) is not None for name in (*found.object_names, *found.verb_names)):
        return None
    ours = official()
    known = found.objects.items() <= ours.objects.items() and found.verbs.items() <= ours.verbs.items()
    return None if known else found


def _plain(name: str) -> str:
    """Our spelling of a name of HICO's own lists."""
    return name.replace("_", " ")


def _image(
    name: str,
    size: Any,
    rows: Iterable[tuple[Any, Any, int, int]],
    labels: Iterable[int] = (),
    hidden: Sequence[tuple[int, int]] = (),
) -> HoiImage:
    """An image from rows (subject box, object box, object code, verb code); equal boxes are one."""
    person = objects().index("person")
    places: dict[tuple[float, ...], int] = {}
    found = []
    for subject_box, object_box, code, verb in rows:
        ends = [
            places.setdefault((*map(float, box), float(of)), len(places))
            for box, of in ((subject_box, person), (object_box, code))
        ]
        found.append((*ends, verb))
    table = np.array(list(places), float).reshape(-1, 5)
    return HoiImage(
        name,
        table[:, :4],
        table[:, 4].astype(np.int64),
        np.array(found, np.int64).reshape(-1, 3),
        (int(size[0]), int(size[1])),
        tuple(sorted(set(labels))),
        tuple(hidden),
    )


def _read_instances(path: str, document: dict[str, Any]) -> HoiData:
    object_codes = {name: code for code, name in enumerate(objects())}
    verb_codes = {name: code for code, name in enumerate(verbs())}
    reasons: Counter[str] = Counter()
    images = []
    try:
        of_object = [object_codes[_plain(name)] for name in document["objects"]]
        of_verb = [verb_codes[_plain(name)] for name in document["verbs"]]
        records = zip(document["filenames"], document["annotation"], document["size"], strict=True)
        for name, one, size in records:
            rows = []
            columns = (one[key] for key in ("boxes_h", "boxes_o", "object", "verb"))
            for subject_box, object_box, place, verb in zip(*columns, strict=True):
                if not (0 <= place < len(of_object) and 0 <= verb < len(of_verb)):
                    reasons["unknown_category"] += 1
                elif not (is_box(subject_box) and is_box(object_box)):
                    reasons["malformed_box"] += 1
                else:
                    rows.append((subject_box, object_box, of_object[place], of_verb[verb]))
            width, height = map(as_pixels, size)
            if as_text(name) is None or not (width and height):
                reasons["malformed_image"] += 1
                continue
            images.append(_image(name, (width, height), rows))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise ValueError(
            f"{path}: neither a list of images nor HICO-DET instances with filenames, annotation, size, "
            f"objects and verbs: {error!r}"
        ) from error
    return HoiData(images, objects(), verbs(), reasons)


def _read_mat(path: str, split: str) -> HoiData:
    from scipy.io import loadmat

    try:
        content = loadmat(path, struct_as_record=False, squeeze_me=True)
        records = np.atleast_1d(content[f"bbox_{split}"])
    except (ValueError, KeyError, NotImplementedError, TypeError) as error:
        raise ValueError(f"{path} is no anno_bbox.mat with bbox_{split}: {error}") from error
    every = [(objects().index(of), verbs().index(verb)) for verb, of in interactions()]
    reasons: Counter[str] = Counter()
    images = []
    for record in records:
        rows: list[tuple[Any, Any, int, int]] = []
        labels = []
        hidden = []
        for one in np.atleast_1d(record.hoi):
            code, verb = every[int(one.id) - 1]
            labels.append(code)
            if int(one.invis):
                hidden.append((verb, code))
                continue
            people, things = _corners(one.bboxhuman), _corners(one.bboxobject)
            for subject, place in np.asarray(one.connection, int).reshape(-1, 2) - 1:
                if not (0 <= subject < len(people) and 0 <= place < len(things)):
                    reasons["unknown_box"] += 1
                    continue
                rows.append((people[subject], things[place], code, verb))
        size = (record.size.width, record.size.height)
        images.append(_image(str(record.filename), size, rows, labels, hidden))
    return HoiData(images, objects(), verbs(), reasons)


def _corners(structs: Any) -> np.ndarray:
    """n x 4 xyxy from 0, of MATLAB's x1, x2, y1, y2 from 1."""
    return np.array([[b.x1 - 1.0, b.y1 - 1.0, b.x2 - 1.0, b.y2 - 1.0] for b in np.atleast_1d(structs)])

"""ParSeD and ParSeDA as detectors: a picture in, scored pairs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from relforge.data.relations import RelationData
from relforge.data.transforms import load_image
from relforge.evaluation.pairs import Pairs, iou, join
from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded
from relforge.models.rlipv2.model import Prediction

KINDS = ("parsed", "parseda")


@dataclass(frozen=True)
class DetectOptions:
    """How pictures are asked.

    Args:
        short_side, long_side: pictures are resized as in training, pixels.
        most: found pairs of a picture, the best by score (100 in the HICO-DET evaluation).
        same: of two found pairs of one kind the worse is dropped where IoU(subjects) times the square root
            of IoU(objects) is above this (published 0.7).
        device: where the model runs.
    """

    short_side: int = 800
    long_side: int = 1333
    most: int = 100
    same: float = 0.7
    device: str = "cpu"


@torch.inference_mode()
def detect(
    loaded: Loaded,
    data: RelationData,
    predicates: Sequence[str],
    subject: str | None,
    options: DetectOptions,
) -> Pairs:
    """Search every picture for pairs.

    A pair scores the sigmoid of its relation times the softmax of its object class, and of its subject
    class too unless only one is asked for (reference §2.13). "No objects" takes part in the softmax and is
    never an answer.

    Args:
        loaded: a model of `KINDS`; classes are those it was trained on and those of `data`.
        data: its pictures; its annotation is not looked at.
        predicates: what is asked.
        subject: the only subject class wanted; slots that see another one are dropped. None: any.

    Raises:
        ValueError: a model of another kind.
    """
    if loaded.blueprint.kind not in KINDS:
        kind = loaded.blueprint.kind
        raise ValueError(f"a {kind} model cannot search for pairs; give one of {' or '.join(KINDS)}")
    classes = list(dict.fromkeys([*loaded.blueprint.classes, *data.categories]))
    model = loaded.model.to(options.device).eval()
    features = model.text_encoder.encode([*classes, NO_OBJECTS, *predicates])
    parts = []
    for index in range(len(data)):
        example = data[index]
        picture = load_image(example, options.short_side, options.long_side, False)[None].to(options.device)
        memory = model.encode(picture, features)
        prediction = model.decode(memory, model.queries(1), len(classes) + 1, last_only=True)[-1]
        found = _pairs(prediction, classes, predicates, subject, example.size)
        image_id = data.images["image_id"][index].as_py()
        parts.append(_best(replace(found, image=np.full(len(found), image_id, object)), options))
    return join(parts)


def _pairs(
    prediction: Prediction,
    classes: Sequence[str],
    predicates: Sequence[str],
    subject: str | None,
    size: tuple[int, int],
) -> Pairs:
    """All (slot, predicate) combinations of one picture."""
    seen = [_class(logits[0]) for logits in (prediction.subject_logits, prediction.object_logits)]
    scale = torch.tensor([*size, *size])
    boxes = [
        (xyxy_from_cxcywh(b[0].float().cpu()) * scale).numpy()
        for b in (prediction.subject_boxes, prediction.object_boxes)
    ]
    scores = prediction.relation_logits[0].float().sigmoid().cpu().numpy() * seen[1][1][:, None]  # P x R
    names = [np.array(classes, object)[index] for index, _ in seen]
    if subject is None:
        scores = scores * seen[0][1][:, None]
        slots = np.arange(len(scores))
    else:
        slots = np.flatnonzero(names[0] == subject)
    slot, column = np.repeat(slots, len(predicates)), np.tile(np.arange(len(predicates)), len(slots))
    return Pairs(
        image=np.zeros(len(slot), object),
        subject=names[0][slot],
        predicate=np.array(predicates, object)[column],
        object=names[1][slot],
        subject_box=boxes[0][slot],
        object_box=boxes[1][slot],
        score=scores[slot, column].astype(float),
    )


def _class(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Likeliest class of every slot and its probability."""
    best, index = logits.float().softmax(-1)[:, :-1].max(-1)
    return index.cpu().numpy(), best.cpu().numpy()


def _best(found: Pairs, options: DetectOptions) -> Pairs:
    """The best pairs of one picture, near repetitions of a kind left out."""
    found = found.take(np.argsort(-found.score, kind="stable")[: options.most])
    kept: list[int] = []
    kinds = found.kinds()
    for row, kind in enumerate(kinds):
        rivals = [other for other in kept if kinds[other] == kind]
        overlap = iou(found.subject_box[row], found.subject_box[rivals]) * np.sqrt(
            iou(found.object_box[row], found.object_box[rivals])
        )
        if not (overlap > options.same).any():
            kept.append(row)
    return found.take(np.array(kept, int))

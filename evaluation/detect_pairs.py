"""A model of whole images at detection: it scores pairs of boxes that a detector found (DEFR).

Nothing is trained. The class token of the model's last blocks may read the two boxes of a pair alone; its
probability of an interaction is multiplied by powers of both boxes' scores, and counts for interactions of
the detected object alone. Sums of logarithms rank, since probabilities of large cosines are all 1 in floating
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from relforge.data.image_loading import normalise_for
from relforge.data.relations import Example, RelationData
from relforge.evaluation.detected_boxes import DetectedBoxes
from relforge.evaluation.pairs import Pairs, join
from relforge.images import decode_as_annotated, read
from relforge.images.resize import resize
from relforge.models.checkpoint import Loaded
from relforge.models.gpu import exact_arithmetic
from relforge.models.image_recogniser import ImageRecogniser, image_recogniser
from relforge.stages.class_names import class_key


@dataclass(frozen=True)
class PairOptions:
    """How pairs are made and scored; the published values are the defaults.

    Args:
        mask: `intended` or `released`: what hides the rest of the image from the class token.
        layers: how many of the last blocks are masked.
        powers: of the person's score, the object's score and the interaction's probability.
        score: least score of a box.
        overlap: boxes of a class that overlap more are suppressed.
        most: people and other boxes of an image, each.
        batch: pairs at a time.
        device: where the model runs.
    """

    mask: str = "intended"
    layers: int = 1
    powers: tuple[float, float, float] = (6.0, 3.0, 1.0)
    score: float = 0.2
    overlap: float = 0.5
    most: int = 15
    batch: int = 64
    device: str = "cpu"


def detect_pairs(
    loaded: Loaded,
    boxes: dict[str, DetectedBoxes],
    data: RelationData,
    interactions: Sequence[tuple[str, str]],
    person: str,
    options: PairOptions,
) -> Pairs:
    """Every pair of a person and another box with every interaction of that object.

    Args:
        loaded: a model of whole images.
        boxes: image id -> detected boxes.
        data: the images; their annotation is not used.
        interactions: (predicate, object) of every class of the model, in its order.
        person: the subject's class.

    Raises:
        ValueError: the model is no such, or no image has boxes.
        ImageError: an image cannot be read or decoded.
    """
    model = image_recogniser(loaded.model.to(options.device).eval(), loaded.blueprint.kind)
    of_object: dict[str, list[int]] = {}
    for code, (_, object_) in enumerate(interactions):
        of_object.setdefault(class_key(object_), []).append(code)
    ids = data.images["image_id"].to_pylist()
    found = [
        _of_image(model, boxes[image], data[index], image, interactions, of_object, person, options)
        for index, image in enumerate(ids)
        if image in boxes
    ]
    if not found:
        raise ValueError(
            f"boxes: none is of an image of the gold: image_id is {next(iter(boxes))!r} there and "
            f"{ids[0]!r} here"
        )
    return join([pairs for pairs in found if pairs is not None])


@torch.inference_mode()
@exact_arithmetic(torch.float32)
def _of_image(
    model: ImageRecogniser,
    found: DetectedBoxes,
    example: Example,
    image: str,
    interactions: Sequence[tuple[str, str]],
    of_object: dict[str, list[int]],
    person: str,
    options: PairOptions,
) -> Pairs | None:
    people, others = found.best(person, options.score, options.overlap, options.most)
    # an object may be another person
    ends = [(one, other) for one in people for other in [*people, *others] if one != other]
    ends = [pair for pair in ends if class_key(found.names[pair[1]]) in of_object]
    if not ends:
        return None
    side, (width, height) = model.image_size, example.size
    pixels = decode_as_annotated(
        read(example.uri, example.data), example.size, example.max_pixels, example.orientation
    ).pixels
    square = normalise_for([resize(pixels, side, side, "bilinear")], model, options.device)
    rows = np.array(ends)
    scaled = found.xyxy * (side / np.array([width, height, width, height]))
    boxes = torch.from_numpy(scaled[rows]).float().to(options.device)
    logits = torch.cat(
        [
            model.pair_logits(
                square,
                part,
                torch.zeros(len(part), dtype=torch.long, device=options.device),
                mask=options.mask,
                layers=options.layers,
            ).cpu()
            for part in boxes.split(options.batch)
        ]
    )
    codes = [of_object[class_key(found.names[other])] for _, other in ends]
    pair = np.repeat(np.arange(len(ends)), [len(own) for own in codes])
    code = np.concatenate([np.array(own) for own in codes])
    chosen = logits.double()[pair, code]
    human, object_, interaction = options.powers
    scores = found.scores[rows[pair]]
    logs = np.log(np.maximum(scores, 1e-12))
    total = human * logs[:, 0] + object_ * logs[:, 1] + interaction * F.logsigmoid(chosen).numpy()
    names = np.array(found.names, object)
    predicates = np.array([verb for verb, _ in interactions], object)
    return Pairs(
        image=np.full(len(pair), image, object),
        subject=names[rows[pair, 0]],
        predicate=predicates[code],
        object=names[rows[pair, 1]],
        subject_box=found.xyxy[rows[pair, 0]],
        object_box=found.xyxy[rows[pair, 1]],
        score=total,
        parts=np.stack([scores[:, 0], chosen.sigmoid().numpy(), scores[:, 1]], 1),
    )

"""Detectors of boxes at work: an image in, scored boxes of named classes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from relforge.data.relations import RelationData
from relforge.data.transforms import load_image
from relforge.data.views import View
from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded
from relforge.models.gpu import exact_arithmetic
from relforge.models.zoo import family

BOXES = 100
"""Boxes of an image that are kept, the best by score: what COCO measures."""


@dataclass(frozen=True)
class ImageBoxes:
    """The detected boxes of one image, the best first.

    Args:
        image: its id.
        names: n classes.
        boxes: n x 4 xywh in pixels of the image.
        scores: n probabilities.
    """

    image: str
    names: list[str]
    boxes: np.ndarray
    scores: np.ndarray


@torch.inference_mode()
def detect_boxes(
    loaded: Loaded, data: RelationData, short_side: int, long_side: int, device: str = "cpu"
) -> Iterator[ImageBoxes]:
    """Detect in every image, as published: DETR's queries each have their likeliest class; where classes have
    sigmoids, the likeliest combinations of a query and a class count, so that a box may appear twice.

    Args:
        loaded: a model whose targets are boxes.
        data: its images; its annotation is not used.
        short_side, long_side: images are resized as in training, pixels.

    Raises:
        ValueError: the model does not detect boxes.
    """
    blueprint = loaded.blueprint
    if family(blueprint.kind).targets != "boxes":
        raise ValueError(f"a {blueprint.kind} model finds no boxes of classes; evaluate it with hico")
    labels = Labels([*blueprint.classes, NO_OBJECTS], [])
    names = list(blueprint.classes)
    model = loaded.model.to(device).eval()
    for index in range(len(data)):
        example = data[index]
        image = load_image(example, View(short_side, long_side))[None].to(device)
        with exact_arithmetic(torch.float32):
            layer = model(image, labels).layers[-1]
        probability = layer.probabilities()[0].cpu()  # Q x classes
        if layer.sigmoid:
            scores, place = probability.flatten().topk(min(BOXES, probability.numel()))
            query, label = place // probability.shape[1], place % probability.shape[1]
        else:
            best, chosen = probability.max(1)
            scores, query = best.sort(descending=True, stable=True)
            scores, query = scores[:BOXES], query[:BOXES]
            label = chosen[query]
        width, height = example.size
        corners = xyxy_from_cxcywh(layer.boxes[0].float().cpu()[query])
        corners = corners * torch.tensor([width, height, width, height])
        xywh = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        image_id = data.images["image_id"][index].as_py()
        yield ImageBoxes(image_id, [names[k] for k in label.tolist()], xywh.numpy(), scores.numpy())

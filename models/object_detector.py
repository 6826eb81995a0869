"""Boxes of one image by an object detector of transformers (DETR, YOLOS, RT-DETR, ...), from a local folder.

What such models share is read from their output: a box and class logits for each query. Whether classes
compete (a softmax with one for "nothing", as DETR) or not (sigmoids, as Deformable DETR and RT-DETR) shows in
the number of logits. Pixels are prepared as `preprocessor_config.json` says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relforge.images.detection_resize import IMAGENET_MEAN, IMAGENET_STD, DetectionResize
from relforge.images.resize import normalise, resize
from relforge.models.files import resolve_model


@dataclass(frozen=True)
class DetectedBox:
    """A box.

    Args:
        category: class name, as the model's config has it.
        score: probability.
        xywh: left, top, width and height in pixels of the image.
    """

    category: str
    score: float
    xywh: tuple[float, float, float, float]


def detect_objects(
    model: str, pixels: NDArray[np.uint8], threshold: float = 0.5, device: str = "auto"
) -> list[DetectedBox]:
    """The boxes of an image, the likeliest first.

    Args:
        model: folder of an object detector, as `save_pretrained` writes it, or a model fetched before.
        pixels: H x W x 3 uint8.
        threshold: boxes less likely are left out.

    Raises:
        FileNotFoundError: no such model.
        ValueError: transformers has no object detector of that type, or it gives no boxes of queries.
    """
    import torch
    from transformers import AutoModelForObjectDetection

    from relforge.models.device import resolve_device_dtype
    from relforge.models.gpu import exact_arithmetic

    folder = resolve_model(model).path
    try:
        network = AutoModelForObjectDetection.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{model} is no object detector that transformers reads: {first}") from error
    network = network.eval().to(resolve_device_dtype(device)[0])
    height, width = pixels.shape[:2]
    with torch.inference_mode(), exact_arithmetic(torch.float32):
        output = network(pixel_values=_prepare(pixels, folder).to(network.device))
    logits, boxes = getattr(output, "logits", None), getattr(output, "pred_boxes", None)
    if logits is None or boxes is None:
        raise ValueError(f"{model}: a {network.config.model_type} model gives no boxes with class logits")
    names = network.config.id2label
    competing = logits.shape[-1] > len(names)  # the last logit is "nothing"
    chances = logits[0].float().softmax(-1)[:, :-1] if competing else logits[0].float().sigmoid()
    scores, classes = chances.max(-1)
    cxcywh = boxes[0].float().cpu() * torch.tensor([width, height, width, height])  # Q x 4, pixels
    low = (cxcywh[:, :2] - cxcywh[:, 2:] / 2).clamp(min=0)
    high = (cxcywh[:, :2] + cxcywh[:, 2:] / 2).minimum(torch.tensor([float(width), float(height)]))
    found = [
        DetectedBox(str(names[int(code)]), float(score), (*corner.tolist(), *(end - corner).tolist()))
        for score, code, corner, end in zip(scores, classes, low, high, strict=True)
        if score >= threshold and (end - corner).min() > 0
    ]
    return sorted(found, key=lambda box: -box.score)


def _prepare(pixels: NDArray[np.uint8], folder: Path) -> Any:
    """1 x 3 x h x w float32, as the model's processor makes it."""
    config = _read_json(folder / "preprocessor_config.json")
    size = config.get("size", {})
    if isinstance(size, int):
        size = {"shortest_edge": size, "longest_edge": config.get("max_size", 1333)}
    if not config.get("do_resize", True):
        image = resize(pixels, pixels.shape[0], pixels.shape[1], "bilinear")
    elif "height" in size:
        image = resize(pixels, int(size["height"]), int(size["width"]), "bilinear")
    else:
        sides = size.get("shortest_edge", 800), size.get("longest_edge", 1333)
        image = DetectionResize(*map(int, sides))(pixels)
    if not config.get("do_normalize", True):
        return image[None].float() / 255
    mean, std = config.get("image_mean", IMAGENET_MEAN), config.get("image_std", IMAGENET_STD)
    return normalise(image[None], tuple(mean), tuple(std))


def _read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found

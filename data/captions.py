"""Captioned images in COCO Captions layout, to train a captioner on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


class _Digest(Protocol):
    """A hash of `hashlib`."""

    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True)
class CaptionedImage:
    """One image.

    Args:
        file: of the image.
        size: (width, height) in pixels that the boxes were written for.
        captions: at least one.
        boxes: n x 4 xywh as shares of the image's width and height; classes: n indices into
            `CaptionData.classes`.
    """

    file: Path
    size: tuple[int, int]
    captions: list[str]
    boxes: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class CaptionData:
    """A training set.

    Args:
        images: those that have captions, by image id.
        classes: names of the boxes' classes; none where no boxes were given.
        sha256: of the files' content and the limit.
    """

    images: list[CaptionedImage]
    classes: list[str]
    sha256: str

    def class_shares(self) -> Tensor:
        """C, share of the images' area that boxes of each class cover."""
        covered = torch.zeros(len(self.classes))
        for image in self.images:
            for (_, _, w, h), code in zip(image.boxes, image.classes, strict=True):
                covered[code] += float(w * h)
        return covered / len(self.images)

    def texts(self) -> Iterator[str]:
        """Every caption."""
        return (text for image in self.images for text in image.captions)


def load_captions(
    captions: str, images: str, boxes: str | None = None, limit: int | None = None
) -> CaptionData:
    """Read a training set.

    Args:
        captions: COCO captions JSON.
        images: folder of its images.
        boxes: COCO instances JSON of the same images.
        limit: number of images, the first ones by image id.

    Raises:
        ValueError: no caption, or a file that is not in COCO's layout, naming it.
    """
    digest = hashlib.sha256(str(limit).encode())
    captioned = _read_coco(captions, digest)
    texts: dict[int | str, list[str]] = {}
    for row in captioned["annotations"]:
        texts.setdefault(row["image_id"], []).append(row["caption"])
    boxes_of: dict[int | str, list[tuple[list[float], int]]] = {}
    names: list[str] = []
    if boxes is not None:
        annotated = _read_coco(boxes, digest)
        names = [category["name"] for category in annotated["categories"]]
        number = {category["id"]: i for i, category in enumerate(annotated["categories"])}
        for row in annotated["annotations"]:
            boxes_of.setdefault(row["image_id"], []).append((row["bbox"], number[row["category_id"]]))
    loaded = []
    for image in sorted((i for i in captioned["images"] if i["id"] in texts), key=lambda i: i["id"])[:limit]:
        own = boxes_of.get(image["id"], [])
        shares = np.array([box for box, _ in own], np.float32).reshape(-1, 4)
        shares /= np.array([image["width"], image["height"]] * 2, np.float32)
        classes = np.array([code for _, code in own], np.int64)
        file, size = Path(images) / image["file_name"], (image["width"], image["height"])
        loaded.append(CaptionedImage(file, size, texts[image["id"]], shares, classes))
    if not loaded:
        raise ValueError(f"data.captions: {captions} has no captioned image")
    return CaptionData(loaded, names, digest.hexdigest())


def _read_coco(path: str, digest: _Digest) -> dict[str, Any]:
    content = Path(path).read_bytes()
    digest.update(content)
    try:
        values: dict[str, Any] = json.loads(content)
        values["images"], values["annotations"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"data: {path} is not a COCO file with images and annotations: {error!r}") from error
    return values

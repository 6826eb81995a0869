"""Captioned pictures in COCO Captions layout, to train a captioner on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Captioned:
    """One picture.

    Args:
        file: the picture.
        captions: at least one.
        boxes: N x 4 xywh as shares of the picture's width and height; kinds: their classes' numbers.
    """

    file: Path
    captions: list[str]
    boxes: np.ndarray
    kinds: np.ndarray


@dataclass(frozen=True)
class CaptionData:
    """A training set.

    Args:
        pictures: those that have captions, by image id.
        classes: names of the boxes' classes; none where no boxes were given.
        sha256: of the files' content and the limit.
    """

    pictures: list[Captioned]
    classes: list[str]
    sha256: str

    def class_shares(self) -> Tensor:
        """Share of the pictures' area that boxes of each class cover."""
        covered = torch.zeros(len(self.classes))
        for picture in self.pictures:
            for (_, _, w, h), kind in zip(picture.boxes, picture.kinds, strict=True):
                covered[kind] += float(w * h)
        return covered / len(self.pictures)

    def texts(self) -> Iterator[str]:
        """Every caption."""
        return (text for picture in self.pictures for text in picture.captions)


def load(captions: str, images: str, boxes: str | None = None, limit: int | None = None) -> CaptionData:
    """Read a training set.

    Args:
        captions: COCO captions JSON.
        images: folder of its pictures.
        boxes: COCO instances JSON of the same pictures.
        limit: take the first so many.

    Raises:
        ValueError: no caption, or a file that is not in COCO's layout, naming it.
    """
    digest = hashlib.sha256(str(limit).encode())
    said = _coco(captions, digest)
    texts: dict[Any, list[str]] = {}
    for row in said["annotations"]:
        texts.setdefault(row["image_id"], []).append(row["caption"])
    seen: dict[Any, list[tuple[list[float], int]]] = {}
    names: list[str] = []
    if boxes is not None:
        drawn = _coco(boxes, digest)
        names = [category["name"] for category in drawn["categories"]]
        number = {category["id"]: i for i, category in enumerate(drawn["categories"])}
        for row in drawn["annotations"]:
            seen.setdefault(row["image_id"], []).append((row["bbox"], number[row["category_id"]]))
    found = []
    for image in sorted((i for i in said["images"] if i["id"] in texts), key=lambda i: i["id"])[:limit]:
        here = seen.get(image["id"], [])
        shares = np.array([box for box, _ in here], np.float32).reshape(-1, 4)
        shares /= np.array([image["width"], image["height"]] * 2, np.float32)
        kinds = np.array([kind for _, kind in here], np.int64)
        found.append(Captioned(Path(images) / image["file_name"], texts[image["id"]], shares, kinds))
    if not found:
        raise ValueError(f"data.captions: {captions} has no captioned picture")
    return CaptionData(found, names, digest.hexdigest())


def _coco(path: str, digest: Any) -> dict[str, Any]:
    content = Path(path).read_bytes()
    digest.update(content)
    try:
        values: dict[str, Any] = json.loads(content)
        values["images"], values["annotations"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"data: {path} is not a COCO file with images and annotations: {error!r}") from error
    return values

"""Images labelled as a whole: the states of a table of interactions, from HICO's files or a run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.data.hico_images import read_hico_images
from relforge.data.sources import read_table
from relforge.stages.class_names import class_key
from relforge.stages.image_labels.table import IMAGE_LABELS, NEGATIVE, POSITIVE, UNLABELLED
from relforge.stages.interactions import Interactions, read_interactions

PERSON = "person"
LABELS = ("gold", "image_labels")


@dataclass(frozen=True)
class ImageLabels:
    """N images and C interactions.

    Args:
        image_ids: N.
        uris, embedded: N, where each image is; None where the labels alone were read.
        interactions: C of (verb, object).
        states: N x C int8, see `stages.image_labels.table`.
        votes: N x C float32 probabilities that captions give; None where the labels were annotated.
    """

    image_ids: list[str]
    uris: list[str | None]
    embedded: list[bytes | None]
    interactions: Interactions
    states: np.ndarray
    votes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def take(self, rows: np.ndarray) -> ImageLabels:
        """Only these images."""
        chosen = [int(row) for row in rows]
        return replace(
            self,
            image_ids=[self.image_ids[i] for i in chosen],
            uris=[self.uris[i] for i in chosen],
            embedded=[self.embedded[i] for i in chosen],
            states=self.states[rows],
            votes=None if self.votes is None else self.votes[rows],
        )

    @property
    def sha256(self) -> str:
        """Of ids, interactions, states and votes."""
        digest = hashlib.sha256(json.dumps([self.image_ids, self.interactions]).encode())
        digest.update(np.ascontiguousarray(self.states).tobytes())
        if self.votes is not None:
            digest.update(np.ascontiguousarray(self.votes).tobytes())
        return digest.hexdigest()


def read_image_labels(
    source: str,
    *,
    labels: str = "gold",
    split: str = "train",
    images: str = "",
    interactions: str | Interactions = "",
) -> ImageLabels:
    """Read labelled images.

    Args:
        source: HICO's `anno.mat`, the same as JSON (`hico_images`), or a run folder.
        labels: of a run folder, `gold` (its source's relations of people) or `image_labels` (the stage's).
        split: `train` or `test` of a HICO file.
        images: folder of a HICO file's images; empty where only labels are needed.
        interactions: a table for `read_interactions`, or the interactions; by default those of the file, or
            all that the labels name.

    Raises:
        ValueError, OSError: it cannot be read, or has no labelled image.
    """
    wanted = read_interactions(interactions) if isinstance(interactions, str) and interactions else None
    if not isinstance(interactions, str):
        wanted = tuple(interactions)
    if Path(source).suffix in (".mat", ".json"):
        found = read_hico_images(source, split)
        uris = [str(Path(images) / name) if images else None for name in found.files]
        data = ImageLabels(found.image_ids, uris, [None] * len(uris), found.interactions, found.states)
        return data if wanted is None else _reorder(data, wanted, source)
    return _read_run(source, labels, wanted)


def _reorder(data: ImageLabels, wanted: Interactions, source: str) -> ImageLabels:
    place = {pair: code for code, pair in enumerate(data.interactions)}
    if missing := [pair for pair in wanted if pair not in place]:
        raise ValueError(f"{source}: has no interaction {' '.join(missing[0])!r}; leave it out of the table")
    return replace(data, interactions=wanted, states=data.states[:, [place[pair] for pair in wanted]])


def _read_run(folder: str, labels: str, wanted: Interactions | None) -> ImageLabels:
    if labels not in LABELS:
        raise ValueError(f"labels: {labels!r}; choose one of {', '.join(LABELS)}")
    images = read_table(folder, "images").sort_by("image_id")
    ids = images["image_id"].to_pylist()
    rows = _stage_rows(folder) if labels == "image_labels" else _gold_rows(folder)
    if wanted is None:
        wanted = tuple(sorted({(row["verb"], row["object"]) for row in rows}))
    if not wanted or not ids:
        raise ValueError(f"{folder}: table {labels} labels no image")
    image_row = {image: number for number, image in enumerate(ids)}
    column = {pair: code for code, pair in enumerate(wanted)}
    states = np.full((len(ids), len(wanted)), UNLABELLED, np.int8)
    votes = np.zeros(states.shape, np.float32) if labels == "image_labels" else None
    if votes is None:
        _mark_present(states, folder, image_row, wanted)
    for row in rows:
        code = column.get((row["verb"], row["object"]))
        if code is None:
            continue
        states[image_row[row["image_id"]], code] = row["state"]
        if votes is not None:
            votes[image_row[row["image_id"]], code] = row["probability"]
    return ImageLabels(ids, images["uri"].to_pylist(), images["bytes"].to_pylist(), wanted, states, votes)


def _stage_rows(folder: str) -> list[dict[str, Any]]:
    table = read_table(folder, "image_labels", IMAGE_LABELS.schema)
    columns = ["image_id", "verb", "object", "state", "probability"]
    rows: list[dict[str, Any]] = table.select(columns).to_pylist()
    return rows


def _gold_rows(folder: str) -> list[dict[str, Any]]:
    """Annotated relations of people as labels of their images."""
    classes = _classes(read_table(folder, "boxes"))
    rows = []
    for row in read_table(folder, "gold").to_pylist():
        subject = classes.get((row["image_id"], row["subject_box"]))
        object_ = classes.get((row["image_id"], row["object_box"]))
        if subject is not None and object_ is not None and class_key(subject) == PERSON:
            rows.append(
                {
                    "image_id": row["image_id"],
                    "verb": row["predicate"],
                    "object": object_,
                    "state": POSITIVE,
                }
            )
    return rows


def _classes(boxes: pa.Table) -> dict[tuple[str, int], str]:
    columns = (boxes[name].to_pylist() for name in ("image_id", "box_id", "category"))
    return {(image, box): category for image, box, category in zip(*columns, strict=True)}


def _mark_present(
    states: np.ndarray, folder: str, image_row: Mapping[str, int], wanted: Sequence[tuple[str, str]]
) -> None:
    """Interactions of an object that has a box are not shown unless the gold says so."""
    of_object: dict[str, list[int]] = {}
    for code, (_, object_) in enumerate(wanted):
        of_object.setdefault(object_, []).append(code)
    for (image, _), category in _classes(read_table(folder, "boxes")).items():
        if category in of_object and image in image_row:
            states[image_row[image], of_object[category]] = NEGATIVE

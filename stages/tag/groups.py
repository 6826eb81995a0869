"""Candidates by image, as taggers see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from relforge.stages.account import Account
from relforge.stages.tag.tagger import Box, Candidate


@dataclass
class Group:
    """Candidates of one image, their rows in the candidates table, and the image's boxes."""

    image_id: str
    rows: list[int] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    boxes: dict[int, Box] = field(default_factory=dict)


def group_by_image(candidates: pa.Table, boxes: pa.Table) -> dict[str, Group]:
    """Image -> its candidates, in table order, and all its boxes.

    Raises:
        ValueError: a candidate names a box that is not among its image's.
    """
    groups: dict[str, Group] = {}
    for row, (image_id, *candidate) in enumerate(
        zip_columns(candidates, "image_id", "subject_box", "object_box", "predicate", "position")
    ):
        group = groups.setdefault(image_id, Group(image_id))
        group.rows.append(row)
        group.candidates.append(Candidate(*candidate))
    for image_id, box_id, *box in zip_columns(boxes, "image_id", "box_id", "category", "x", "y", "w", "h"):
        if image_id in groups:
            groups[image_id].boxes[box_id] = Box(*box)
    for image_id, group in groups.items():
        for one in group.candidates:
            for end, box_id in zip(("subject_box", "object_box"), one[:2], strict=True):
                if box_id not in group.boxes:
                    raise ValueError(f"image {image_id}: {end} {box_id} is not among its boxes")
    return groups


def zip_columns(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Rows of some columns."""
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def quarantine(account: Account, group: Group, reason: str, detail: str) -> None:
    """All candidates of an image failed together."""
    for candidate in group.candidates:
        record = {"image_id": group.image_id, **candidate._asdict()}
        del record["position"]
        account.quarantine(record, reason, detail)

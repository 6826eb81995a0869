"""The greedy baseline: every class-consistent pair gets its candidate texts (Table 5 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages import tables as schemas
from relforge.stages.account import Account
from relforge.stages.columns import codes
from relforge.stages.contract import StageResult
from relforge.stages.match.overlap import do_overlap, read_xywh


class RuleTagger:
    """Scores every candidate 1.

    A stage of its own and no `Tagger`: it reads no image, and scores a table in one step where a `Tagger`
    gets an image at a time.

    Args:
        overlap_prior: drop candidates whose boxes do not overlap (reason `no_overlap`).
    """

    name = "tag"
    version = 1
    inputs: tuple[str, ...] = ("candidates", "boxes")
    outputs: tuple[str, ...] = ("scores",)

    def __init__(self, overlap_prior: bool = False) -> None:
        self._overlap_prior = overlap_prior

    def files(self) -> Sequence[str]:
        return ()

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        candidates = tables["candidates"]
        account = Account()
        if self._overlap_prior:
            total = candidates.num_rows
            candidates = candidates.filter(pa.array(pairs_overlap(candidates, tables["boxes"])))
            account.drop("no_overlap", total - candidates.num_rows)
        rows = candidates.num_rows
        account.keep(rows)
        scores = (
            candidates.append_column("score", pa.array(np.ones(rows, np.float32)))
            .append_column("subject_score", pa.nulls(rows, pa.float32()))
            .append_column("object_score", pa.nulls(rows, pa.float32()))
            .append_column("tagger", pa.array(["rule"] * rows, pa.string()))
        )
        return account.result({"scores": schemas.conform("scores", scores)})


def pairs_overlap(pairs: pa.Table, boxes: pa.Table) -> np.ndarray:
    """Whether the two boxes of each (image_id, subject_box, object_box) row overlap.

    Raises:
        ValueError: a row names a box that is not in `boxes`.
    """
    images = pc.unique(boxes["image_id"])
    span = (pc.max(boxes["box_id"]).as_py() or 0) + 1
    box_keys = codes(boxes["image_id"], images) * span + boxes["box_id"].to_numpy()
    order = np.argsort(box_keys)
    xywh = read_xywh(boxes)[order]
    image = codes(pairs["image_id"], images)
    found = []
    for end in ("subject_box", "object_box"):
        key = image * span + pairs[end].to_numpy()
        at = np.searchsorted(box_keys[order], key)
        known = (at < len(order)) & (image >= 0)
        known[known] = box_keys[order][at[known]] == key[known]
        if not known.all():
            row = pairs.slice(int(np.flatnonzero(~known)[0]), 1).to_pylist()[0]
            raise ValueError(f"image {row['image_id']}: {end} {row[end]} is not among its boxes")
        found.append(xywh[at])
    return do_overlap(*found)

"""The stage `relabel`: candidates and scores of a trained model, beside those of the round it learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import (
    MAX_PIXELS,
    ImageError,
    check_max_pixels,
    check_orientation,
    decode_as_annotated,
    read,
)
from relforge.images.prefetch import prefetch
from relforge.machine import choose_decoders
from relforge.stages.account import Account
from relforge.stages.contract import StageResult
from relforge.stages.name_list import read_names
from relforge.stages.relabel.first_round import FirstRound
from relforge.stages.relabel.relabeller import P, Relabeller, Vocabulary
from relforge.stages.relabel.table import FIRST_ROUND, NAME
from relforge.stages.tables import SCHEMAS, TableSpec, conform
from relforge.stages.tag.groups import zip_columns
from relforge.stages.tag.tagger import Box, Candidate, ImageCandidates, LoadedTagger, Scores
from relforge.tagger.request import Failure

RULE = "relabelled"
"""The rule of its candidates, which no caption states: their support is 0."""

Row = dict[str, Any]

_BOX = ("category", "x", "y", "w", "h")


class RelabelStage(Generic[P]):
    """Relations between the dataset's boxes, by a model that learnt from the labels of another run.

    It takes the place of caption, parse, match and tag.

    Args:
        relabeller: the model.
        first_round: run folder of the labels that it learnt from; of the same dataset.
        predicates: what is asked for: names, or a file with one per line. By default the relations that the
            model was trained on, and where it names none, those of the first round.
        max_predicates: at most so many, the commonest of the first round, where none are named.
        floor: scores not above it are not written; on a GPU an R-Tagger's are, down to a margin below it
            (`LoadedTagger.margin`).
        threads: image decoders. None: 2; where the worker has a GPU up to 6, as there are CPUs.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.
        dataset, split: of this run; the first round has to be of the same.

    Raises:
        ValueError: an option that cannot be; names it and the fix.
    """

    name = "relabel"
    inputs: tuple[str, ...] = ("images", "boxes")
    outputs: tuple[str, ...] = ("candidates", "scores", NAME)
    schemas: ClassVar[Mapping[str, TableSpec]] = {NAME: FIRST_ROUND}

    def __init__(
        self,
        relabeller: Relabeller[P],
        first_round: str,
        predicates: Sequence[str] | str | None = None,
        max_predicates: int = 200,
        floor: float = 0.05,
        threads: int | None = None,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
        dataset: str | None = None,
        split: str | None = None,
    ) -> None:
        if not 0 <= floor < 1:
            raise ValueError(f"floor is {floor}; it must be a probability below 1")
        if max_predicates < 1:
            raise ValueError(f"max_predicates is {max_predicates}; use 1 or more")
        check_orientation(orientation)
        check_max_pixels(max_pixels)
        self.relabeller, self.floor, self.threads = relabeller, floor, threads
        self.orientation, self.max_pixels = orientation, max_pixels
        self.predicates, self.max_predicates = predicates, max_predicates
        tables = ("relations", "candidates") if relabeller.proposed else ("relations",)
        self.first = FirstRound(first_round, tables, dataset, split)
        self.version = relabeller.version
        self.neutral_options = ("threads", *relabeller.neutral_options)
        self._loaded: LoadedTagger | None = None
        self._asked: Sequence[str] = ()

    def files(self) -> Sequence[str]:
        listed = [self.predicates] if isinstance(self.predicates, str) else []
        return [*self.relabeller.files(), *self.first.files(), *listed]

    def setup(self) -> None:
        self.first.load()
        named = read_names(self.predicates, "predicates")
        counts = self.first.count_predicates()
        common = sorted(counts, key=lambda one: (-counts[one], one))
        known = Vocabulary(named or common, bool(named), self.first.list_classes(), self.max_predicates)
        self._loaded, self._asked = self.relabeller.load(self.floor, known)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Relabel a shard.

        An image is dropped as `no_second_box`, `no_pair` (none is given to the model) or `no_relation` (none
        scores above the floor); one that cannot be read or computed is quarantined.
        """
        if self._loaded is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        images = tables["images"]
        given = self._give(images["image_id"].to_pylist(), _usable_boxes(tables["boxes"]), account)
        found: list[Row] = []
        for result in self.relabeller.tag(self._read(given, images, account)):
            if isinstance(result, Failure):
                account.quarantine({"image_id": result.image_id}, result.reason, result.detail)
                continue
            rows = _rows(result, given[result.image_id][1], self.floor - self._loaded.margin)
            found += rows
            if rows:
                account.keep()
            else:
                account.drop("no_relation")
        first = self.first.relations(images["image_id"].to_pylist())
        notes = {**self._loaded.notes, "first_relations": len(first)}
        if self._loaded.margin:
            notes["margin"] = self._loaded.margin
        made = _tables(found, first, self._loaded.name)
        return account.result(made, notes)

    def _give(
        self, images: Sequence[str], boxes: Mapping[str, list[Row]], account: Account
    ) -> dict[str, tuple[dict[int, Box], list[Candidate]]]:
        """Image -> its boxes and what the model is given to score, nothing where it searches itself."""
        proposed = self.first.candidates(images) if self.relabeller.proposed else {}
        given = {}
        for image_id in images:
            rows = boxes.get(image_id, [])
            if len(rows) < 2:
                account.drop("no_second_box")
                continue
            by_id = {one["box_id"]: Box(*(one[key] for key in _BOX)) for one in rows}
            candidates: list[Candidate] = []
            if self.relabeller.proposed:
                usable = [one for one in proposed.get(image_id, ()) if {*one[:2]} <= by_id.keys()]
                candidates = [one for one in usable if self.relabeller.fits(one.predicate)]
                account.note("text_too_long", len(usable) - len(candidates))
            elif self.relabeller.worth is not None:
                pairs = self.relabeller.worth.choose(rows, account)
                ordered = sorted([*pairs, *((other, one) for one, other in pairs)])
                candidates = [Candidate(*pair, name, 0) for pair in ordered for name in self._asked]
            if self.relabeller.worth is not None and not candidates:
                account.drop("no_pair")
            else:
                given[image_id] = (by_id, candidates)
        return given

    def _read(
        self,
        given: Mapping[str, tuple[dict[int, Box], list[Candidate]]],
        images: pa.Table,
        account: Account,
    ) -> Iterator[ImageCandidates[P]]:
        """The images that can be read, in table order."""
        images = images.filter(pc.is_in(images["image_id"], pa.array(list(given), pa.string())))
        sizes = {one[0]: one[1:] for one in zip_columns(images, "image_id", "width", "height")}

        def prepare(uri: str | None, data: bytes | None, width: int, height: int) -> tuple[P, bool]:
            decoded = decode_as_annotated(read(uri, data), (width, height), self.max_pixels, self.orientation)
            return self.relabeller.prepare(decoded.pixels), decoded.unsettled

        for image_id, image in prefetch(
            images, ("uri", "bytes", "width", "height"), prepare, self.threads or choose_decoders(6)
        ):
            if isinstance(image, ImageError):
                account.quarantine({"image_id": image_id}, image.reason, image.detail)
                continue
            pixels, unsettled = image
            account.note("orientation_unsettled", int(unsettled))
            width, height = sizes[image_id]
            yield ImageCandidates(image_id, pixels, width, height, *given[image_id])


def _usable_boxes(boxes: pa.Table) -> dict[str, list[Row]]:
    """Image -> its boxes; crowds and boxes without an area take no part."""
    found: dict[str, list[Row]] = {}
    for box in boxes.to_pylist():
        if not box["iscrowd"] and box["w"] > 0 and box["h"] > 0:
            found.setdefault(box["image_id"], []).append(box)
    return found


def _rows(result: Scores, given: Sequence[Candidate], floor: float) -> list[Row]:
    """Scored rows of one image, the likeliest first, by relation and both classes."""
    scored = [given[one] if isinstance(one, int) else one for one in result.scored or range(len(given))]
    nothing = np.full(len(scored), np.nan, np.float32)
    subject = nothing if result.subject is None else result.subject
    object_ = nothing if result.object is None else result.object
    confidence = result.relation * np.nan_to_num(subject, nan=1.0) * np.nan_to_num(object_, nan=1.0)
    # compared in the column's own precision, so that the table never holds its own floor
    above = np.flatnonzero(result.relation > np.float32(floor))
    ranked = sorted(above.tolist(), key=lambda row: (-float(confidence[row]), scored[row][:3]))
    return [
        {
            "image_id": result.image_id,
            "subject_box": scored[row].subject_box,
            "object_box": scored[row].object_box,
            "predicate": scored[row].predicate,
            "position": position,
            "support": 0,
            "caption_ids": [],
            "triplet_ids": [],
            "rule": RULE,
            "claim_id": position,
            "alternatives": 1,
            "score": float(result.relation[row]),
            "subject_score": None if np.isnan(subject[row]) else float(subject[row]),
            "object_score": None if np.isnan(object_[row]) else float(object_[row]),
        }
        for position, row in enumerate(ranked)
    ]


def _tables(rows: Sequence[Row], first: Mapping[Any, float], tagger: str) -> dict[str, pa.Table]:
    """Candidates, the same with scores, and what the first round says of each."""

    def table(name: str) -> pa.Table:
        schema = SCHEMAS[name]
        blank = dict.fromkeys(schema.names) | {"tagger": tagger}
        full = [{key: (blank | row)[key] for key in schema.names} for row in rows]
        return conform(name, pa.Table.from_pylist(full, schema))

    keys = ("image_id", "subject_box", "object_box", "predicate")
    beside = [
        {key: row[key] for key in keys} | {"first_score": first.get(tuple(row[key] for key in keys))}
        for row in rows
    ]
    return {
        "candidates": table("candidates"),
        "scores": table("scores"),
        NAME: conform(NAME, pa.Table.from_pylist(beside, FIRST_ROUND.schema), FIRST_ROUND),
    }

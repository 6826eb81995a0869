"""Stage `propose`, backend `prior`: relations that nobody says, where boxes and classes make them likely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.stages.account import Account
from relforge.stages.candidate_columns import as_grounded
from relforge.stages.columns import encode, flatten, number_rows
from relforge.stages.contract import StageResult
from relforge.stages.ground.pairs import rank_within
from relforge.stages.ground.words import predicate_keys
from relforge.stages.propose.model import ProposalModel, load_proposals, read_header
from relforge.stages.propose.pairs import list_pairs
from relforge.stages.tables import SCHEMAS, conform

RULE = "proposed"


class PriorProposals:
    """Adds every pair and predicate that a model of boxes and classes finds likely and no caption said.

    Its rows have the rule `proposed`, support 0, the probability as prior, and a claim of their own; what a
    caption said of a pair, in whatever form of the words, stays the caption's row. A run without a match
    stage has proposals alone.

    Args:
        model: file that `relforge ground fit --proposals` wrote; its predicates are all there are. A class
            that it does not know is judged by the geometry of its boxes.
        threshold: least probability that is proposed.
        top_k_image: proposals of an image at most, the likeliest.
        max_boxes: boxes of an image that take part at most, the largest.
        said: table of what captions say, `candidates` or `grounded`; None: the run matches no captions.

    Raises:
        ValueError: an option that cannot be; names it and the fix.
    """

    name = "propose"
    version = 1
    outputs: tuple[str, ...] = ("proposed",)

    def __init__(
        self,
        model: str,
        threshold: float = 0.2,
        top_k_image: int = 30,
        max_boxes: int = 100,
        said: str | None = None,
    ) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}; it must be a probability between 0 and 1")
        if top_k_image < 1:
            raise ValueError(f"top_k_image is {top_k_image}; use 1 or more, or leave the stage out")
        if max_boxes < 2:
            raise ValueError(f"max_boxes is {max_boxes}; a pair needs 2")
        self.file, self.threshold = Path(model), threshold
        self.top_k_image, self.max_boxes, self.said = top_k_image, max_boxes, said
        # what the ground stage found improbable was said too, so `candidates` is read beside `grounded`
        tables = dict.fromkeys((said, "candidates")) if said else ()
        self.inputs: tuple[str, ...] = ("images", "boxes", *tables)
        self._model: ProposalModel | None = None

    def files(self) -> Sequence[str]:
        read_header(self.file)
        return [str(self.file)]

    def setup(self) -> None:
        self._model = load_proposals(self.file)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """All pairs of a shard; an image to which nothing was added is counted as `nothing_proposed`."""
        if self._model is None:
            self.setup()
        nothing = SCHEMAS["candidates"].empty_table()
        said = tables["candidates"] if self.said else nothing
        notes: Counter[str] = Counter()
        proposed = self._propose(tables["images"], tables["boxes"], said, notes)
        account = Account()
        images = len(set(proposed["image_id"].to_pylist()))
        account.keep(images)
        account.drop("nothing_proposed", tables["images"].num_rows - images)
        rows = as_grounded(tables[self.said] if self.said else nothing)
        table = conform("proposed", pa.concat_tables([rows, proposed]))
        return account.result({"proposed": table}, dict(notes))

    def _propose(self, images: pa.Table, boxes: pa.Table, said: pa.Table, notes: Counter[str]) -> pa.Table:
        assert self._model is not None
        parts: list[tuple[np.ndarray, ...]] = []
        for pairs in list_pairs(images, boxes, self.max_boxes):
            prior = self._model.probabilities(pairs).astype(np.float32)  # compared in the column's precision
            pair, predicate = np.nonzero(prior >= np.float32(self.threshold))
            ends = pairs.image[pair], pairs.subject_box[pair], pairs.object_box[pair]
            parts.append((*ends, predicate, prior[pair, predicate]))
        schema = SCHEMAS["proposed"]
        if not parts:
            return schema.empty_table()
        image, subject, object_, predicate, prior = map(np.concatenate, zip(*parts, strict=True))
        names = flatten(images["image_id"])
        box_id = boxes["box_id"].to_numpy()
        pair_of = [names.take(pa.array(image)), pa.array(box_id[subject]), pa.array(box_id[object_])]
        words = [_lemma(one) for one in self._model.predicates]
        own, known = number_rows(
            [*pair_of, pa.array(words, pa.string()).take(pa.array(predicate))],
            [said[name] for name in ("image_id", "subject_box", "object_box")] + [_lemmas(said["predicate"])],
        )
        new = ~np.isin(own, known)
        likely = np.zeros(len(new), bool)
        likely[new] = rank_within((image[new],), -prior[new]) < self.top_k_image
        notes.update(proposals=int(likely.sum()), said_already=int((~new).sum()))
        notes.update(beyond_top_k=int(new.sum() - likely.sum()))
        rank = rank_within((image[likely],), -prior[likely])
        number = (_claims(said, names)[image[likely]] + rank).astype(np.int32)
        rows = len(number)
        columns: dict[str, Any] = {
            "image_id": pair_of[0].filter(pa.array(likely)),
            "subject_box": pair_of[1].filter(pa.array(likely)),
            "object_box": pair_of[2].filter(pa.array(likely)),
            "predicate": pa.array(list(self._model.predicates), pa.string()).take(
                pa.array(predicate[likely])
            ),
            "position": number,
            "support": np.zeros(rows, np.int32),
            "caption_ids": pa.array([[]] * rows, schema.field("caption_ids").type),
            "triplet_ids": pa.array([[]] * rows, schema.field("triplet_ids").type),
            "rule": [RULE] * rows,
            "claim_id": number,
            "alternatives": np.ones(rows, np.int32),
            "prior": prior[likely],
            "prior_rank": np.ones(rows, np.int32),
        }
        return as_grounded(pa.table(columns))


def _lemma(predicate: str) -> str:
    """What forms of the same words have in common; the text where it has no word."""
    return next(iter(predicate_keys(predicate)), predicate)


def _lemmas(predicates: pa.ChunkedArray) -> pa.Array:
    values = pa.array(sorted(set(predicates.to_pylist())), pa.string())
    lemmas = pa.array([_lemma(one) for one in values.to_pylist()], pa.string())
    return lemmas.take(pa.array(encode(predicates, values)))


def _claims(said: pa.Table, images: pa.Array) -> np.ndarray:
    """The first number that no claim of each image has."""
    first = np.zeros(len(images), np.int64)
    image = encode(said["image_id"], images)
    np.maximum.at(first, image[image >= 0], said["claim_id"].to_numpy()[image >= 0] + 1)
    return first

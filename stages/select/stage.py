"""The select stage: which scored relations are kept. Runs on stored scores, so it never needs a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages import tables as schemas
from relforge.stages.account import Account
from relforge.stages.columns import encode_in_order
from relforge.stages.contract import StageResult
from relforge.stages.overlap import pairs_overlap
from relforge.stages.relation_ids import derive_relation_ids
from relforge.stages.select.features import COLUMNS, add_column, describe_rows
from relforge.stages.select.quality import QualityModel
from relforge.stages.select.quality_file import load_quality

CONFIDENCES = ("relation", "product")
QUALITIES = ("score", "learned")
_WITH_QUALITY = schemas.TableSpec(
    schemas.SCHEMAS["relations"].append(pa.field("quality", pa.float32())),
    schemas.SORT_KEYS["relations"],
)
"""`relations` of `quality: learned`."""
DEFAULT_THRESHOLD = 0.2
"""Of the score; the published loader's."""
SUPPORT = COLUMNS["image_support"]
DEDUPLICATIONS = ("max", "published", "none")


class SelectStage:
    """Threshold, duplicates, overlap prior, then the best of each pair and image.

    Args:
        threshold: lowest confidence kept (inclusive, as the published loader does); by default 0.2, with
            `quality: learned` the one that was best on the held-out images of the fit.
        confidence: `relation` (sigmoid of the relation logit) or `product` (times subject and object
            scores; a missing one counts as 1).
        deduplicate: of equal (subject, predicate, object): `max` keeps one best row, `published` every row
            that equals the maximum, `none` all.
        top_k_pair, top_k_image: relations kept of an ordered pair and of an image at most; None: all.
        overlap_prior: drop pairs whose boxes do not overlap.
        support_image: exponent a of the image's own support (table `image_support`) in the confidence,
            confidence^(1 - a) * support^a; 0: it plays no part. Relations without support keep theirs.
        prior: exponent a of the prior (stage `ground`) in the confidence, confidence^(1 - a) * prior^a; 0: it
            plays no part, 1: it alone counts. Relations without a prior keep theirs.
        support_floor: relations whose support is lower are dropped; 0: none.
        quality: what the confidence is: `score` (as above) or `learned`: the probability that the relation is
            right, by the file `weights`; relations then have the column `quality`.
        weights: file of `relforge quality fit`; with `quality: learned`.
        precision: keep what reaches this precision on the held-out images of the fit, instead of `threshold`;
            with `quality: learned`.
    """

    name = "select"
    version = 2
    inputs: tuple[str, ...] = ("scores", "images", "boxes")
    outputs: tuple[str, ...] = ("relations",)

    def __init__(
        self,
        threshold: float | None = None,
        confidence: str = "relation",
        deduplicate: str = "max",
        top_k_pair: int | None = None,
        top_k_image: int | None = None,
        overlap_prior: bool = False,
        support_image: float = 0.0,
        support_floor: float = 0.0,
        prior: float = 0.0,
        quality: str = "score",
        weights: str | None = None,
        precision: float | None = None,
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"select.threshold: {threshold} is not between 0 and 1")
        if confidence not in CONFIDENCES:
            raise ValueError(f"select.confidence: {confidence!r} is not one of {', '.join(CONFIDENCES)}")
        if deduplicate not in DEDUPLICATIONS:
            raise ValueError(f"select.deduplicate: {deduplicate!r} is not one of {', '.join(DEDUPLICATIONS)}")
        shares = {"support_image": support_image, "support_floor": support_floor, "prior": prior}
        for key, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"select.{key}: {share} is not between 0 and 1")
        for key, value in (("top_k_pair", top_k_pair), ("top_k_image", top_k_image)):
            if value is not None and value < 1:
                raise ValueError(f"select.{key}: {value} keeps nothing; use 1 or more, or leave it out")
        self._quality = _read_quality(quality, weights, precision)
        if self._quality is not None:
            if support_image or prior or confidence != "relation":
                raise ValueError(
                    "select.quality: learned weighs support, prior and class scores itself; leave out "
                    "`support_image`, `prior` and `confidence`"
                )
            self.schemas = {"relations": _WITH_QUALITY}
        self._weights = weights
        self._threshold = _choose_threshold(threshold, precision, self._quality)
        self._confidence = confidence
        self._deduplicate = deduplicate
        self._top_k_pair = top_k_pair
        self._top_k_image = top_k_image
        self._overlap_prior = overlap_prior
        self._support_image, self._support_floor, self._prior = support_image, support_floor, prior
        beside = set() if self._quality is None else set(self._quality.tables)
        if support_image or support_floor:
            beside.add("image_support")
        self._beside = sorted(beside)
        self.inputs = (*self.inputs, *self._beside)

    def files(self) -> Sequence[str]:
        return () if self._weights is None else (self._weights,)

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        rows = tables["scores"].combine_chunks()
        for name in self._beside:
            rows = add_column(rows, name, tables[name])
        if self._quality is not None:  # before rows are dropped: a claim's rows are compared
            quality = self._quality.score(describe_rows(rows), rows)
            quality = np.where(np.isnan(rows["score"].to_numpy()), np.float32("nan"), quality)
            rows = rows.append_column("quality", pa.array(quality, pa.float32()))
        account = Account()

        def keep(reason: str, wanted: np.ndarray) -> None:
            nonlocal rows
            if lost := int(len(wanted) - wanted.sum()):
                account.drop(reason, lost)
                rows = rows.filter(pa.array(wanted))

        if self._support_floor:
            floor = np.float32(self._support_floor)
            keep("below_support_floor", pc.fill_null(rows[SUPPORT], 1.0).to_numpy() >= floor)
        keep("not_a_number", ~np.isnan(self._confidences(rows)))
        # the score is float32: compare with the float32 that the threshold names
        keep("below_threshold", self._confidences(rows) >= np.float32(self._threshold))
        if self._overlap_prior:
            keep("no_overlap", pairs_overlap(rows, tables["boxes"]))
        if self._deduplicate != "none":
            ties = self._deduplicate == "published"
            keep("duplicate", _is_best(rows, self._confidences(rows), ties))
        for reason, group, count in (
            ("beyond_top_k_pair", ("image_id", "subject_box", "object_box"), self._top_k_pair),
            ("beyond_top_k_image", ("image_id",), self._top_k_image),
        ):
            if count:
                keep(reason, _is_in_top(rows, self._confidences(rows), group, count))
        rows = rows.drop_columns([COLUMNS[name] for name in self._beside])
        rows = rows.append_column("relation_id", derive_relation_ids(rows, tables["images"]))
        account.keep(rows.num_rows)
        spec = None if self._quality is None else _WITH_QUALITY
        return account.result({"relations": schemas.conform("relations", rows, spec)})

    def _confidences(self, rows: pa.Table) -> np.ndarray:
        if self._quality is not None:
            quality: np.ndarray = rows["quality"].to_numpy()
            return quality
        score = rows["score"].to_numpy()
        if self._confidence == "product":
            for name in ("subject_score", "object_score"):
                score = score * pc.fill_null(rows[name], 1.0).to_numpy().astype(np.float32)
        for name, exponent in (("prior", self._prior), (SUPPORT, self._support_image)):
            if exponent:
                other = rows[name].to_numpy(zero_copy_only=False).astype(np.float32)
                joint = score ** np.float32(1 - exponent) * other ** np.float32(exponent)
                score = np.where(np.isnan(other), score, joint)
        return score


def _read_quality(quality: str, weights: str | None, precision: float | None) -> QualityModel | None:
    """The model of `quality: learned`.

    Raises:
        ValueError: options that do not go together, or a file that cannot be read.
    """
    if quality not in QUALITIES:
        raise ValueError(f"select.quality: {quality!r} is not one of {', '.join(QUALITIES)}")
    if quality == "score":
        for key, value in (("weights", weights), ("precision", precision)):
            if value is not None:
                raise ValueError(f"select.{key}: only `quality: learned` knows it; leave it out")
        return None
    if weights is None:
        raise ValueError("select.weights: missing; give the file of `relforge quality fit`")
    if precision is not None and not 0 < precision < 1:
        raise ValueError(f"select.precision: {precision} is not between 0 and 1")
    return load_quality(Path(weights))


def _choose_threshold(
    threshold: float | None, precision: float | None, quality: QualityModel | None
) -> float:
    """The option, or what goes without it."""
    if quality is not None and precision is not None:
        return quality.threshold_of(precision)
    if threshold is not None:
        return threshold
    return DEFAULT_THRESHOLD if quality is None else quality.threshold


def _is_best(rows: pa.Table, confidence: np.ndarray, ties: bool) -> np.ndarray:
    """One best row of each (image, subject, object, predicate), or every row equal to the best."""
    columns = [encode_in_order(rows[key]) for key in ("image_id", "subject_box", "object_box", "predicate")]
    order = np.lexsort((np.arange(len(confidence)), -confidence, *columns[::-1]))
    fresh = _starts(columns, order)
    wanted = np.zeros(len(confidence), bool)
    wanted[order[fresh]] = True
    if ties and len(order):
        best = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
        wanted[order] = confidence[order] == confidence[order[best]]
    return wanted


def _is_in_top(rows: pa.Table, confidence: np.ndarray, keys: Sequence[str], count: int) -> np.ndarray:
    """The `count` best rows of each group; ties fall to the smaller boxes and predicate."""
    columns = [encode_in_order(rows[key]) for key in keys]
    tie_break = [encode_in_order(rows[key]) for key in ("subject_box", "object_box", "predicate")]
    order = np.lexsort((*tie_break[::-1], -confidence, *columns[::-1]))
    position = np.arange(len(order))
    start = np.maximum.accumulate(np.where(_starts(columns, order), position, 0))
    wanted = np.zeros(len(order), bool)
    wanted[order] = position - start < count
    return wanted


def _starts(columns: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Where a new group begins, along `order`."""
    fresh = np.zeros(len(order), bool)
    fresh[:1] = True
    for column in columns:
        ordered = column[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    return fresh

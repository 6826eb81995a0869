"""The match stage: triplets and boxes in, candidate (pair, predicate) rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages import tables as schemas
from relforge.stages.account import Account
from relforge.stages.class_names import class_key, group_spellings
from relforge.stages.class_table import read_classes
from relforge.stages.columns import encode, encode_in_order, flatten
from relforge.stages.contract import StageResult
from relforge.stages.match import naming, vocabulary
from relforge.stages.match.known_pairs import join_pairs, separate_pairs
from relforge.stages.match.pair_limit import MAX_PAIRS
from relforge.stages.match.pairs import BoxIndex, Candidates, Mentions, expand_claims
from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.overlap import read_xywh


class MatchStage:
    """Relates the boxes whose classes a caption's triplets name.

    Args:
        synonyms: tables, by built-in name (`coco`, `objects365`) or path; later ones add to earlier.
        method: `boundary` (whole words, lemmas, head noun first, longest synonym, several classes) or
            `substring` (the published rule: raw substring of the noun phrase, last class counts).
        original_names: with `substring`: class names only, no synonyms (published `original_text`).
        overlap_prior: keep only pairs of overlapping boxes.
        crowd_boxes: let boxes flagged as crowds take part in pairs.
        max_pairs: (subject box, predicate, object box) of an image at most; beyond it the claims share the
            number and pair their largest boxes. What is left out is counted in the note
            `pairs_beyond_limit`. None: 100,000 by `boundary`, all by `substring`, as published. 0: all.
        known_pairs: captions are of pairs that the table `regions` names, and relate no other boxes; set
            where the captioner is `vlm_pairs`.
    """

    name = "match"
    version = 5
    inputs: tuple[str, ...] = ("triplets", "boxes", "images", "classes")
    outputs: tuple[str, ...] = ("candidates",)

    def __init__(
        self,
        synonyms: Sequence[str] = ("coco",),
        method: str = "boundary",
        original_names: bool = False,
        overlap_prior: bool = False,
        crowd_boxes: bool = False,
        max_pairs: int | None = None,
        known_pairs: bool = False,
    ) -> None:
        if method not in naming.METHODS:
            raise ValueError(f"match.method: {method!r} is not one of {', '.join(naming.METHODS)}")
        if original_names and method != "substring":
            raise ValueError("match.original_names: only `method: substring` knows it; leave it out")
        if isinstance(synonyms, str):
            raise ValueError(f"match.synonyms: give a list of tables, e.g. [{synonyms}]")
        if max_pairs is not None and max_pairs < 2 and max_pairs != 0:
            raise ValueError(f"match.max_pairs: {max_pairs} keeps nothing; use 2 or more, or 0 for no limit")
        if max_pairs is None:
            max_pairs = MAX_PAIRS if method == "boundary" else 0
        self._max_pairs = max_pairs or None
        self._synonyms = list(synonyms)
        self._method = method
        self._original_names = original_names
        self._overlap_prior = overlap_prior
        self._crowd_boxes = crowd_boxes
        self._known_pairs = known_pairs
        if known_pairs:
            self.inputs = (*self.inputs, "regions")
        self._vocabulary: vocabulary.Vocabulary | None = None
        self._cached: tuple[object, PhraseMatcher] | None = None

    def files(self) -> Sequence[str]:
        vocabulary.load(self._synonyms)  # a table that cannot be used is refused before a run
        return [str(path) for path in vocabulary.paths(self._synonyms)]

    def setup(self) -> None:
        self._vocabulary = vocabulary.load(self._synonyms, own_name=self._method == "boundary")

    def _matcher(self, categories: list[str], own: dict[str, list[str]], local: list[str]) -> PhraseMatcher:
        """The matcher for these classes; shards of one dataset mostly have the same ones."""
        key = categories, own, local
        if self._cached is None or self._cached[0] != key:
            assert self._vocabulary is not None
            self._cached = key, PhraseMatcher(self._vocabulary.with_own(own), categories, local)
        return self._cached[1]

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        if self._vocabulary is None:
            self.setup()
        if not self._known_pairs:
            return self._match(tables)
        result = self._match(separate_pairs(tables))
        result.tables["candidates"] = join_pairs(result.tables["candidates"])
        return result

    def _match(self, tables: Mapping[str, pa.Table]) -> StageResult:
        assert self._vocabulary is not None
        triplets, boxes = tables["triplets"], tables["boxes"]
        names = sorted(pc.unique(boxes["category"]).to_pylist())
        code_of = {name: code for code, name in enumerate(names)}
        categories, local = names, []
        own: dict[str, list[str]] = {}
        if self._method == "boundary":
            # classes without boxes in this shard take part, so that the reason for a dropped triplet does
            # not depend on how images were sharded
            own = read_classes(tables.get("classes"))
            listed = sorted(self._vocabulary.classes)  # first: a class goes by its name in the tables
            categories = [*listed, *sorted({*names, *own} - set(listed))]
            everywhere = set(group_spellings([*listed, *own]))
            local = [
                spellings[0]
                for key, spellings in group_spellings(categories).items()
                if key not in everywhere
            ]
            number = {key: code for code, key in enumerate(group_spellings(categories))}
            code_of = {name: number[class_key(name)] for name in categories}
        images = pc.unique(
            pa.concat_arrays(
                [
                    flatten(triplets["image_id"]),
                    flatten(boxes["image_id"]),
                    flatten(tables["images"]["image_id"]),
                ]
            )
        )
        image = encode(triplets["image_id"], images)
        box_image = encode(boxes["image_id"], images)
        name_code = np.array([code_of[name] for name in names], np.int64)
        box_category = name_code[encode(boxes["category"], pa.array(names, pa.string()))]

        usable = boxes["iscrowd"].to_numpy(zero_copy_only=False) <= self._crowd_boxes
        xywh = read_xywh(boxes)
        if self._method == "substring":
            xywh = _clamp(xywh, box_image, images, tables["images"])
            usable &= np.all(xywh[:, 2:] > 0, axis=1)
        rows = np.flatnonzero(usable)
        rows = rows[np.lexsort((rows, box_category[rows], box_image[rows]))]
        index = BoxIndex(
            image=box_image[rows],
            category=box_category[rows],
            box_id=boxes["box_id"].to_numpy()[rows],
            xywh=xywh[rows],
            classes=max(len(categories), 1),
        )

        if self._method == "substring":
            named = naming.name_by_substring(
                triplets, image, categories, box_image, box_category, self._vocabulary, self._original_names
            )
        else:
            named = naming.name_by_boundary(
                triplets, image, code_of, index, self._matcher(categories, own, local)
            )

        # an entity of several classes: every combination of a subject class and an object class
        subjects, objects = named.subjects, named.objects
        object_start = np.searchsorted(objects.triplet, subjects.triplet, "left")
        object_count = np.searchsorted(objects.triplet, subjects.triplet, "right") - object_start
        left = np.repeat(np.arange(len(subjects.triplet)), object_count)
        right = np.arange(len(left)) - np.repeat(np.cumsum(object_count) - object_count, object_count)
        right = right + object_start[left]
        triplet = subjects.triplet[left]
        predicates = pc.unique(flatten(triplets["predicate"]))
        mentions = Mentions(
            triplet=triplet,
            image=image[triplet],
            subject=subjects.category[left],
            predicate=encode(triplets["predicate"], predicates)[triplet],
            object=objects.category[right],
            caption=triplets["caption_id"].to_numpy()[triplet],
            triplet_id=triplets["triplet_id"].to_numpy()[triplet],
            rule=subjects.rule[left] * len(naming.RULES) + objects.rule[right],
            subject_count=named.subject_count[triplet],
            object_count=named.object_count[triplet],
            confidence=triplets["confidence"].to_numpy().astype(np.float32)[triplet],
        )
        found = expand_claims(mentions, index, self._overlap_prior, self._max_pairs)
        table = _to_table(found, images, predicates)
        account = _account(named, triplet, found, self._overlap_prior)
        left_out = found.pairs_beyond_limit
        return account.result({"candidates": table}, {"pairs_beyond_limit": left_out} if left_out else {})


def _to_table(found: Candidates, images: pa.Array, predicates: pa.Array) -> pa.Table:
    """Rows in the order of the table's keys; sorted by codes, which is far cheaper than by strings."""
    image, predicate = (encode_in_order(values) for values in (images, predicates))
    box = int(max(found.subject_box.max(initial=0), found.object_box.max(initial=0))) + 1
    key = (image[found.image] * box + found.subject_box) * box + found.object_box
    order = np.argsort(key * max(len(predicates), 1) + predicate[found.predicate])

    def column(values: np.ndarray, null: np.ndarray | None = None) -> pa.Array:
        return pa.array(values[order].astype(np.int32), mask=None if null is None else null[order])

    columns = {
        "image_id": images.take(pa.array(found.image[order])),
        "subject_box": column(found.subject_box),
        "object_box": column(found.object_box),
        "predicate": predicates.take(pa.array(found.predicate[order])),
        "position": column(found.position),
        "support": column(found.support),
        "caption_ids": found.caption_ids.take(pa.array(found.claim[order])),
        "triplet_ids": found.triplet_ids.take(pa.array(found.claim[order])),
        "rule": naming.RULE_PAIRS.take(pa.array(found.rule[order])),
        "claim_id": column(found.position),
        "alternatives": column(found.alternatives),
        "subject_count": column(found.subject_count, found.subject_count < 0),
        "object_count": column(found.object_count, found.object_count < 0),
        "confidence": pa.array(found.confidence[order], mask=np.isnan(found.confidence[order])),
    }
    schema = schemas.SCHEMAS["candidates"]
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _account(named: naming.Named, triplet: np.ndarray, found: Candidates, overlap_prior: bool) -> Account:
    """Where every triplet went: one reason each, the first that applies."""
    account = Account()
    count = len(named.subject_known)
    paired = np.zeros(count, bool)
    paired[triplet[found.mention_has_pair]] = True
    beyond = np.zeros(count, bool)
    beyond[triplet[found.mention_beyond_limit]] = True
    mentioned = np.zeros(count, bool)
    mentioned[triplet] = True
    left = ~paired
    reasons = {
        "quantity_of": named.quantity,
        "neither_names_a_class": ~named.subject_known & ~named.object_known,
        "subject_names_no_class": ~named.subject_known,
        "object_names_no_class": ~named.object_known,
        "container_and_content": named.content,
        "class_has_no_box_here": ~mentioned,
        "pairs_beyond_limit": beyond,
        "no_second_box" if not overlap_prior else "no_overlapping_pair": np.ones(count, bool),
    }
    for reason, applies in reasons.items():
        account.drop(reason, int(np.sum(left & applies)))
        left &= ~applies
    account.keep(int(paired.sum()))
    return account


def _clamp(xywh: np.ndarray, box_image: np.ndarray, images: pa.Array, sizes: pa.Table) -> np.ndarray:
    """Boxes cut to the image, as the published loader does before it drops empty ones."""
    at = encode(pa.chunked_array([images.take(pa.array(box_image))]), flatten(sizes["image_id"]))
    width, height = (sizes[name].to_numpy()[at] for name in ("width", "height"))
    limit = np.stack([width, height], axis=1).astype(np.float64)
    low = np.clip(xywh[:, :2], 0, limit)
    high = np.clip(xywh[:, :2] + xywh[:, 2:], 0, limit)
    return np.concatenate([low, high - low], axis=1)

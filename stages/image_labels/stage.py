"""The stage `image_labels`: what the captions of an image say that people do, as labels of the whole image.

Triplets of all captions are read as claims (`claims`), voted (`votes`) and decided (`states`): the teacher of
HTS, where no annotated interaction is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from relforge.stages.account import Account
from relforge.stages.caption.regions_table import WHOLE
from relforge.stages.class_names import class_key
from relforge.stages.contract import StageResult
from relforge.stages.image_labels.claims import ClaimReader
from relforge.stages.image_labels.soft import SoftVerbs
from relforge.stages.image_labels.states import Rules, State, decide
from relforge.stages.image_labels.table import IMAGE_LABELS, POSITIVE
from relforge.stages.image_labels.verbs import IMPLIES, VERB_FORMS, Implications, VerbForms
from relforge.stages.image_labels.votes import JOINS, vote
from relforge.stages.interactions import HICO600, read_interactions
from relforge.stages.match import vocabulary
from relforge.stages.tables import TableSpec, conform

Pair = tuple[str, str]
_NAMED_BY = 2  # captions that make an object present without a box


class ImageLabelsStage:
    """Args:
    interactions: table of (verb, object): `hico600`, or a YAML list.
    synonyms: words for its objects and for people, tables as the match stage takes them.
    verb_forms: YAML of wordings of verbs; by default the built-in one.
    implies: YAML of what an interaction implies; by default the built-in one, `none` for nothing.
    regions: whether captions of regions vote for themselves; the run must have captioned regions.
    join: how regions are joined: `noisy_or`, `max` or `mean`.
    positive, limit, min_captions, silence: see `states.Rules`.
    soft: cosine from which a predicate without wording counts as the likest verb of its object; 0: never.
    encoder, pooling: sentence encoder of `soft`, as `relforge language-head` takes it.

    Raises:
        ValueError: a table or file that cannot be used, an option that cannot be.
    """

    name = "image_labels"
    version = 1
    outputs = ("image_labels",)
    schemas: ClassVar[Mapping[str, TableSpec]] = {"image_labels": IMAGE_LABELS}

    def __init__(
        self,
        interactions: str = HICO600,
        synonyms: Sequence[str] = ("coco",),
        verb_forms: str | None = None,
        implies: str | None = None,
        regions: bool = False,
        join: str = "noisy_or",
        positive: float = 0.2,
        limit: int = 10,
        min_captions: int = 5,
        silence: str = "ignore",
        soft: float = 0.0,
        encoder: str | None = None,
        pooling: str = "cls",
    ) -> None:
        if join not in JOINS:
            raise ValueError(f"image_labels.join: {join!r}; choose one of {', '.join(JOINS)}")
        if not 0 <= soft <= 1 or (soft > 0) != (encoder is not None):
            raise ValueError("image_labels.soft: give a cosine up to 1 and an `encoder`, or neither")
        self.inputs: tuple[str, ...] = ("triplets", "captions", "boxes")
        if regions:
            self.inputs = (*self.inputs, "regions")
        self._table_name, self._synonyms = interactions, list(synonyms)
        self._verb_forms = VERB_FORMS if verb_forms is None else Path(verb_forms)
        self._implies = IMPLIES if implies is None else None if implies == "none" else Path(implies)
        self._join, self._rules = join, Rules(positive, limit, min_captions, silence)
        self._soft = None if encoder is None else SoftVerbs(encoder, pooling, soft)
        self._reader: ClaimReader | None = None
        self._ready = False

    def files(self) -> Sequence[str]:
        own = [self._verb_forms, *vocabulary.paths(self._synonyms)]
        own += [path for path in (self._implies,) if path is not None]
        own += [Path(self._table_name)] if self._table_name != HICO600 else []
        self._load()  # what cannot be used is refused before a run
        return [*map(str, own), *([] if self._soft is None else self._soft.files())]

    def setup(self) -> None:
        self._load()
        if self._soft is not None:
            self._soft.load(self._table)
        self._ready = True

    def _load(self) -> None:
        self._table = read_interactions(self._table_name)
        verbs = VerbForms(self._verb_forms, [verb for verb, _ in self._table])
        words = vocabulary.load(self._synonyms)
        self._reader = ClaimReader(self._table, words, verbs)
        self._implications = Implications(self._implies, self._table)
        self._of_object: dict[str, list[Pair]] = defaultdict(list)
        for pair in self._table:
            self._of_object[pair[1]].append(pair)
        self._object_of = {class_key(name): name for name in self._of_object}

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Label the images of a shard.

        Every triplet is kept where it says a positive label, or dropped: `not_a_person`, `unknown_object`,
        `unknown_verb`, `not_in_vocabulary`, `object_not_seen`, `below_support` or `beyond_limit`.
        """
        if not self._ready:
            self.setup()
        account = Account()
        triplets = _by_image(tables["triplets"])
        captions = _captions(tables)
        boxes: dict[str, set[str]] = defaultdict(set)
        for image, category in zip(
            *(tables["boxes"][c].to_pylist() for c in ("image_id", "category")), strict=True
        ):
            if known := self._object_of.get(class_key(category)):
                boxes[image].add(known)
        rows: list[dict[str, Any]] = []
        for image in sorted({*captions, *boxes, *triplets}):
            rows += self._label(image, triplets[image], captions[image], boxes[image], account)
        table = pa.Table.from_pylist(rows, schema=IMAGE_LABELS.schema)
        return account.result({"image_labels": conform("image_labels", table, IMAGE_LABELS)})

    def _label(
        self,
        image: str,
        triplets: list[dict[str, Any]],
        captions: dict[int, int],
        boxes: set[str],
        account: Account,
    ) -> list[dict[str, Any]]:
        assert self._reader is not None
        said: dict[Pair, set[int]] = defaultdict(set)
        named: dict[str, set[int]] = defaultdict(set)
        claims: list[list[Pair]] = []
        for triplet in triplets:
            pairs, reason = self._reader.read(triplet)
            if reason == "unknown_verb" and self._soft is not None:
                pairs = self._soft.find(triplet["predicate"], self._reader.classes(triplet, "object"))
            for end in ("subject", "object"):
                for name in self._reader.classes(triplet, end):
                    named[name].add(triplet["caption_id"])
            for pair in pairs:
                said[pair].add(triplet["caption_id"])
            if pairs:
                claims.append(pairs)
            else:
                account.drop(reason)
        present = boxes | {n for n, ids in named.items() if len(ids) >= _NAMED_BY and n in self._of_object}
        votes = vote(said, captions, self._join)
        states = decide(votes, present, self._of_object, len(captions), self._implications, self._rules)
        for pairs in claims:
            _account(pairs, states, account)
        return [
            {
                "image_id": image,
                "label": " ".join(pair),
                "verb": pair[0],
                "object": pair[1],
                "state": one.state,
                "probability": one.probability,
                "support": len(said.get(pair, ())),
                "caption_ids": sorted(said.get(pair, ())),
                "reason": one.reason,
                "source": self._table_name,
            }
            for pair, one in states.items()
        ]


def _account(pairs: list[Pair], states: Mapping[Pair, State], account: Account) -> None:
    """Where a triplet went that says these interactions: the best that became of one."""
    found = [states[pair] for pair in pairs if pair in states]
    if any(one.state == POSITIVE for one in found):
        account.keep()
    elif not found:
        account.drop("object_not_seen")
    elif any(one.reason == "beyond_limit" for one in found):
        account.drop("beyond_limit")
    else:
        account.drop("below_support")


def _by_image(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["image_id"]].append(row)
    return found


def _captions(tables: Mapping[str, pa.Table]) -> dict[str, dict[int, int]]:
    """Image -> caption -> region."""
    found: dict[str, dict[int, int]] = defaultdict(dict)
    columns = (tables["captions"][name].to_pylist() for name in ("image_id", "caption_id"))
    for image, caption in zip(*columns, strict=True):
        found[image][caption] = WHOLE
    if "regions" in tables:
        for row in tables["regions"].to_pylist():
            for caption in row["caption_ids"]:
                if caption in found[row["image_id"]]:  # a caption may have been left out after it was written
                    found[row["image_id"]][caption] = row["region"]
    return found

"""Captioner `vlm_pairs`: a sentence about each pair of boxes worth asking about; the pair is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import MAX_PIXELS, ImageError
from relforge.stages.account import Account
from relforge.stages.answers.asking import Answers, Asking, Finding
from relforge.stages.answers.foresight import Foreseen, foresee
from relforge.stages.answers.shown import Looks, Shown, check_looks, read_shown
from relforge.stages.answers.table import ANSWERS, answers_name
from relforge.stages.answers.worth import Worth, xywh_of
from relforge.stages.backend import Backend
from relforge.stages.caption.quality import REASONS, check_reasons, find_fault
from relforge.stages.caption.regions import PEOPLE
from relforge.stages.caption.regions_table import ASKED, REGIONS
from relforge.stages.class_names import class_key
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS, conform
from relforge.vlm.client import Answer, Client, Request, Sampling
from relforge.vlm.options import VlmOptions
from relforge.vlm.probe import Wanted
from relforge.vlm.prompt import load_prompt, prompt_path
from relforge.vlm.schema import OK, read_sentence
from relforge.vlm.wording import name_pair

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Pair:
    """Rows of `boxes`: a person first where there is one, else the smaller id."""

    subject: Row
    object: Row

    @property
    def ids(self) -> tuple[int, int]:
        return self.subject["box_id"], self.object["box_id"]


class VlmPairsStage:
    """Captions pairs of boxes, one by one; the table `regions` says which captions are of which pair.

    Matching relates the two boxes of that pair only (rule `asked`), so the sentence need not tell them apart
    from others of their class.

    Args:
        vlm: who is asked.
        view: what is shown: `blur` (both boxes sharp in a crop, the rest blurred), `crop`, `black`, `marks`
            or `plain`.
        margin: around the boxes of a crop, share of their rectangle.
        pixels: longest side of what is shown; smaller images are not enlarged.
        coordinates: boxes in words: `none`, `relative1000` or `pixels`, as the model was taught.
        prompt: `caption_pair/1`, or a file with `{the_subject}` and `{the_object}`.
        captions: sentences about each pair.
        temperature: of the answers; 0: the likeliest token.
        top_p: of the nucleus.
        max_tokens: of an answer.
        max_boxes: boxes of an image at most, the largest ones.
        near: gap between the boxes of a pair at most, in longer sides of the larger box.
        max_ratio: larger area of a pair over the smaller at most.
        drop: quality reasons whose captions are left out (`stages.caption.quality`); all are counted.
        threads: image decoders.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.

    Raises:
        ValueError: an option that cannot be; names it and the fix.
    """

    name = "caption"
    version = 1
    inputs: tuple[str, ...] = ("images", "boxes")
    outputs: tuple[str, ...] = ("captions", "regions", answers_name("caption"))

    def __init__(
        self,
        vlm: VlmOptions,
        view: str = "blur",
        margin: float = 0.15,
        pixels: int = 448,
        coordinates: str = "none",
        prompt: str = "caption_pair/1",
        captions: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_tokens: int = 48,
        max_boxes: int = 30,
        near: float = 0.5,
        max_ratio: float = 100.0,
        drop: Sequence[str] = REASONS,
        threads: int = 2,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        check_reasons(drop)
        if captions < 1:
            raise ValueError(f"captions is {captions}; use 1 or more")
        if captions > 1 and temperature == 0:
            raise ValueError("temperature is 0, so all captions are one; use 1.0 with several `captions`")
        self.looks = Looks(view, margin, pixels, coordinates, threads, orientation, max_pixels)
        check_looks(self.looks)
        self._prompt = prompt
        self.prompt = load_prompt(prompt, "caption_pair")
        self.sampling = Sampling(temperature, top_p, max_tokens)
        self.worth, self.captions, self.drop = Worth(near, max_ratio, max_boxes), captions, frozenset(drop)
        self.vlm = vlm
        self.neutral_options = ("threads", *vlm.neutral_options)
        self.schemas = {"regions": REGIONS, answers_name("caption"): ANSWERS}
        self.announcement = vlm.announcement
        self._client: Client | None = None

    def files(self) -> Sequence[str]:
        return [str(prompt_path(self._prompt)), *self.vlm.files()]

    def foresee(self, rows: Mapping[str, int]) -> Foreseen | None:
        """What so many rows of the tables that it reads will come to, were all images to have equally many
        boxes, all near each other; None where too little is known.

        Args:
            rows: table -> rows, of those that are known.
        """
        if not rows.get("images") or "boxes" not in rows:
            return None
        boxes = min(rows["boxes"] / rows["images"], self.worth.max_boxes)
        pairs = rows["images"] * boxes * max(boxes - 1, 0) / 2
        return foresee(
            math.ceil(pairs) * self.captions,
            self.vlm.prices,
            characters=len(self.prompt.text),
            views=1,
            longest=self.looks.pixels,
            max_tokens=self.sampling.max_tokens,
        )

    def setup(self) -> None:
        self._client = self.vlm.build_client("caption", Wanted())
        self._client.setup()

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Caption a shard.

        An image without a pair worth asking about is dropped as `no_pair`, one left without a caption as
        `no_sound_caption`; one that cannot be read, or of which no answer can be used, is quarantined.

        Raises:
            ConnectionError, VlmError: see `vlm.client.Client`.
        """
        if self._client is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        pairs = self._choose(tables, account)
        asking = Asking(self._client, self.vlm.model, self.vlm.seed, {self.prompt.hash: self.prompt.text})
        answers = asking.ask(self._requests(pairs, tables["images"], account), self._examine)
        faults: Counter[str] = Counter()
        captions: list[dict[str, Any]] = []
        regions: list[dict[str, Any]] = []
        for image_id, of_image in pairs.items():
            self._collect(image_id, of_image, answers, account, faults, captions, regions)
        made = {
            "captions": conform("captions", pa.Table.from_pylist(captions, SCHEMAS["captions"])),
            "regions": conform("regions", pa.Table.from_pylist(regions, REGIONS.schema), REGIONS),
            answers_name("caption"): answers.table(),
        }
        return account.result(made, {**answers.notes(), "caption_faults": dict(sorted(faults.items()))})

    def _choose(self, tables: Mapping[str, pa.Table], account: Account) -> dict[str, list[_Pair]]:
        """Image -> its pairs; images without one are dropped."""
        boxes: dict[str, list[Row]] = {}
        for box in tables["boxes"].to_pylist():
            boxes.setdefault(box["image_id"], []).append(box)
        chosen = {}
        for image_id in tables["images"]["image_id"].to_pylist():
            by_id = {box["box_id"]: box for box in boxes.get(image_id, [])}
            pairs = self.worth.choose(list(by_id.values()), account)
            if pairs:
                chosen[image_id] = [_order(by_id[one], by_id[other]) for one, other in pairs]
            else:
                account.drop("no_pair")
        return chosen

    def _requests(
        self, pairs: dict[str, list[_Pair]], images: pa.Table, account: Account
    ) -> Iterator[Request]:
        """Of every image that can be read; the others are quarantined and leave `pairs`."""
        images = images.filter(pc.is_in(images["image_id"], pa.array(list(pairs), pa.string())))
        for image_id, shown in read_shown(images, self.looks):
            if isinstance(shown, ImageError):
                account.quarantine({"image_id": image_id}, shown.reason, shown.detail)
                del pairs[image_id]
                continue
            everything = {
                end["box_id"]: end for pair in pairs[image_id] for end in (pair.subject, pair.object)
            }
            for pair in pairs[image_id]:
                others = [xywh_of(box) for box_id, box in everything.items() if box_id not in pair.ids]
                yield from self._ask(image_id, pair, shown, others)

    def _ask(self, image_id: str, pair: _Pair, shown: Shown, others: Sequence[Any]) -> Iterator[Request]:
        ends = [(end["category"], xywh_of(end)) for end in (pair.subject, pair.object)]
        view, frame = shown.draw(self.looks, {0: ends[0][1], 1: ends[1][1]}, others)
        text = self.prompt.fill(name_pair(ends[0], ends[1], frame, self.looks.coordinates))
        for sample in range(self.captions):
            yield Request(
                image_id,
                _request_id(pair, sample),
                "caption_pair",
                [view],
                text,
                sampling=self.sampling,
                sample=sample,
                facts=dict(zip(("subject_box", "object_box"), pair.ids, strict=True)),
            )

    def _examine(self, request: Request, answer: Answer) -> Finding:
        text = read_sentence(answer.text)
        return Finding(value=text) if text else Finding("empty", "the answer has no words")

    def _collect(
        self,
        image_id: str,
        pairs: Sequence[_Pair],
        answers: Answers,
        account: Account,
        faults: Counter[str],
        captions: list[dict[str, Any]],
        regions: list[dict[str, Any]],
    ) -> None:
        """The rows of an image, and what became of it."""
        source = Path(self.vlm.model).name if Path(self.vlm.model).exists() else self.vlm.model
        failures: list[Finding] = []
        number = sound = 0
        for region, pair in enumerate(pairs):
            numbers = []
            for sample in range(self.captions):
                result = answers.of(image_id, _request_id(pair, sample))
                if result.finding.verdict != OK:
                    failures.append(result.finding)
                elif fault := find_fault(result.finding.value, ""):
                    faults[fault] += 1
                if result.finding.verdict == OK and fault not in self.drop:
                    numbers.append(number)
                    row = {"image_id": image_id, "caption_id": number, "text": result.finding.value}
                    row |= {"source": source, "seed": self.vlm.seed, "logprob": result.answer.logprob}
                    captions.append(row)
                number += 1  # captions keep their numbers where an earlier one is left out
            sound += len(numbers)
            regions.append(_region(image_id, region, pair, numbers))
        if sound:
            account.keep()
        elif len(failures) == number:
            account.quarantine({"image_id": image_id}, failures[0].verdict, failures[0].detail)
        else:
            account.drop("no_sound_caption")


def _order(one: Row, other: Row) -> _Pair:
    swap = class_key(other["category"]) in PEOPLE and class_key(one["category"]) not in PEOPLE
    return _Pair(other, one) if swap else _Pair(one, other)


def _request_id(pair: _Pair, sample: int) -> str:
    return f"{pair.ids[0]}-{pair.ids[1]}-{sample}"


def _region(image_id: str, region: int, pair: _Pair, numbers: list[int]) -> dict[str, Any]:
    (x1, y1, w1, h1), (x2, y2, w2, h2) = xywh_of(pair.subject), xywh_of(pair.object)
    left, top = min(x1, x2), min(y1, y2)
    row = {"image_id": image_id, "region": region, "kind": ASKED, "caption_ids": numbers}
    row |= dict(zip(("subject_box", "object_box"), pair.ids, strict=True))
    right, bottom = max(x1 + w1, x2 + w2), max(y1 + h1, y2 + h2)
    return row | {"x": left, "y": top, "w": right - left, "h": bottom - top}


stage = Backend(VlmPairsStage, VlmOptions)

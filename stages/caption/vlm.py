"""Captions by a vision-language model that is asked to describe the image (backend `vlm`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

import pyarrow as pa

from relforge.images import MAX_PIXELS, ImageError, check_max_pixels, decode, read
from relforge.images.prefetch import prefetch
from relforge.stages.account import Account
from relforge.stages.answers.asking import Asking, Result
from relforge.stages.answers.foresight import Foreseen, foresee
from relforge.stages.answers.table import ANSWERS, answers_name
from relforge.stages.backend import Backend
from relforge.stages.caption.clean import clean
from relforge.stages.caption.quality import REASONS, check_reasons, find_fault
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS, conform
from relforge.vlm.client import Client, Request, Sampling, View
from relforge.vlm.options import VlmOptions
from relforge.vlm.probe import Wanted
from relforge.vlm.prompt import load_prompt, prompt_path
from relforge.vlm.view import draw_view

_SENTENCES = re.compile(r".*[.!?](?=\s|$)", re.DOTALL)


class VlmCaptionStage:
    """Captions every image of a shard; `caption_answers` has all that was said.

    Args:
        vlm: who is asked.
        prompt: a built-in prompt, or the path of a file of one's own.
        captions: per image; each is a request of its own.
        temperature: 0 gives the likeliest words, and the same caption each time.
        top_p: of nucleus sampling.
        max_tokens: tokens of a caption; one that is longer is kept up to its last whole sentence.
        pixels: longest side of the image as it is shown; smaller ones are not enlarged.
        drop: quality reasons whose captions are left out (`stages.caption.quality`); all are counted.
        threads: image decoders.
        max_pixels: of the dataset's images, see `images.decode_oriented`.

    Raises:
        ValueError: an option that cannot be.
    """

    name = "caption"
    version = 1
    inputs: tuple[str, ...] = ("images",)
    outputs: tuple[str, ...] = ("captions", answers_name("caption"))

    def __init__(
        self,
        vlm: VlmOptions,
        prompt: str = "caption/1",
        captions: int = 4,
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_tokens: int = 96,
        pixels: int = 448,
        drop: Sequence[str] = REASONS,
        threads: int = 2,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        check_reasons(drop)
        check_max_pixels(max_pixels)
        if captions < 1 or max_tokens < 1 or pixels < 1:
            raise ValueError("captions, max_tokens and pixels must be 1 or more")
        if captions > 1 and temperature <= 0:
            raise ValueError(f"temperature 0 gives {captions} equal captions; use captions: 1, or raise it")
        self.vlm, self.captions, self.pixels = vlm, captions, pixels
        self.sampling = Sampling(temperature, top_p, max_tokens)
        self.drop, self.threads, self.max_pixels = frozenset(drop), threads, max_pixels
        self._prompt_file = prompt_path(prompt)
        self._prompt = load_prompt(prompt, "caption")
        self.schemas = {answers_name("caption"): ANSWERS}
        self.neutral_options = ("threads", *vlm.neutral_options)
        self.announcement = vlm.announcement
        self._client: Client | None = None

    def files(self) -> Sequence[str]:
        return [str(self._prompt_file), *self.vlm.files()]

    def foresee(self, rows: Mapping[str, int]) -> Foreseen | None:
        """What so many rows of the tables that it reads will come to; None where too little is known.

        Args:
            rows: table -> rows, of those that are known.
        """
        if "images" not in rows:
            return None
        return foresee(
            rows["images"] * self.captions,
            self.vlm.prices,
            characters=len(self._prompt.text),
            views=1,
            longest=self.pixels,
            max_tokens=self.sampling.max_tokens,
        )

    def setup(self) -> None:
        self._client = self.vlm.build_client("caption", Wanted())
        self._client.setup()

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Caption the shard's images.

        An image that cannot be read, or of which no answer can be used, is quarantined under its reason; one
        that is left without a caption is dropped as `no_sound_caption`.
        """
        if self._client is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        shown: list[str] = []
        asking = Asking(self._client, self.vlm.model, self.vlm.seed, {self._prompt.hash: self._prompt.text})
        answers = asking.ask(self._requests(tables["images"], account, shown))
        rows: list[dict[str, object]] = []
        faults: Counter[str] = Counter()
        for image_id in shown:
            results = [answers.of(image_id, str(number)) for number in range(self.captions)]
            used = [number for number, one in enumerate(results) if one.finding.verdict == "ok"]
            if not used:
                account.quarantine({"image_id": image_id}, *results[0].finding[:2])
                continue
            made = [self._row(image_id, number, results[number], faults) for number in used]
            sound = [row for row in made if row]
            rows += sound
            if sound:
                account.keep()
            else:
                account.drop("no_sound_caption")
        captions = conform("captions", pa.Table.from_pylist(rows, schema=SCHEMAS["captions"]))
        notes = {"caption_faults": dict(sorted(faults.items())), **answers.notes()}
        return account.result({"captions": captions, answers_name("caption"): answers.table()}, notes)

    def _requests(self, images: pa.Table, account: Account, shown: list[str]) -> Iterator[Request]:
        """All requests of an image one after the other; ids of images that can be read go into `shown`."""

        def prepare(uri: str | None, embedded: bytes | None) -> View:
            data = read(uri, embedded)
            # upright, whatever the boxes were written for: a caption describes the upright image
            pixels = decode(data, max_pixels=self.max_pixels)
            size = pixels.shape[1], pixels.shape[0]
            return draw_view(pixels, size, {}, sha256(data).hexdigest(), view="plain", longest=self.pixels)[0]

        question = self._prompt.fill({})
        for image_id, view in prefetch(images, ("uri", "bytes"), prepare, self.threads):
            if isinstance(view, ImageError):
                account.quarantine({"image_id": image_id}, view.reason, view.detail)
                continue
            shown.append(image_id)
            for number in range(self.captions):
                yield Request(
                    image_id, str(number), "caption", [view], question, sampling=self.sampling, sample=number
                )

    def _row(
        self, image_id: str, number: int, result: Result, faults: Counter[str]
    ) -> dict[str, object] | None:
        """A caption's row; None for one that is left out."""
        text = result.answer.text
        if result.answer.finish_reason == "length":
            faults["cut_off"] += 1
            whole = _SENTENCES.match(text)
            text = whole[0] if whole else text
        text = clean(text)[0]
        fault = find_fault(text, "")
        if fault:
            faults[fault] += 1
        if fault in self.drop:
            return None
        row = {"image_id": image_id, "caption_id": number, "text": text, "source": self.vlm.model}
        return {**row, "seed": self.vlm.seed, "logprob": result.answer.logprob}


stage = Backend(VlmCaptionStage, VlmOptions)

"""The stage `similarity`: a reference-free score of every candidate beside the tagger's.

What it finds is a column of its own; the learnt quality of `select` weighs it where it was fitted with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import pyarrow as pa

from relforge.images import MAX_PIXELS
from relforge.stages.account import Account
from relforge.stages.answers.asking import Answers, Asking
from relforge.stages.answers.shown import Looks, Shown, check_looks
from relforge.stages.contract import StageResult
from relforge.stages.similarity.scorer import MATCH, Scorer, ScorerClient
from relforge.stages.similarity.table import SIMILARITY
from relforge.stages.tables import TableSpec, conform
from relforge.stages.tag.groups import Group, group_by_image
from relforge.stages.tag.judging import request_name
from relforge.stages.tag.shown_groups import read_shown_groups
from relforge.vlm.append import open_folder
from relforge.vlm.budget import Ledger, Price
from relforge.vlm.cache import Cache
from relforge.vlm.cached import CachedClient
from relforge.vlm.client import Client, Request
from relforge.vlm.options import default_cache
from relforge.vlm.prompt import load_prompt, prompt_path
from relforge.vlm.view import CROPPED
from relforge.vlm.wording import name_pair


class SimilarityStage:
    """Scores a sentence about each candidate against the image of its pair.

    Scores are kept by image, boxes, view, sentence and weights, so none is computed twice, and a run that was
    killed goes on with the same bytes.

    Args:
        scorer: what scores.
        view: what is shown: `blur` (both boxes sharp in a crop, the rest blurred), `crop`, or `black` (other
            boxes black).
        margin: around the boxes, share of their rectangle.
        pixels: longest side of what is shown; smaller images are not enlarged.
        prompt: `statement/2` ("a photo of a person riding a horse"), `statement/1` (without "a photo of"), or
            a file with `{predicate}`, `{a_subject}`, `{a_object}`.
        cache: folder or URI of the kept scores; None: `cache/vlm` in the run folder.
        threads: image decoders.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.
        candidates: table they are read from: `candidates`, or `grounded` where the run has that stage.
        run_folder: of the run.

    Raises:
        ValueError: an option that cannot be.
    """

    name = "similarity"
    outputs: tuple[str, ...] = ("similarity",)
    schemas: ClassVar[Mapping[str, TableSpec]] = {"similarity": SIMILARITY}

    def __init__(
        self,
        scorer: Scorer,
        view: str = "blur",
        margin: float = 0.15,
        pixels: int = 384,
        prompt: str = "statement/2",
        cache: str | None = None,
        threads: int = 2,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
        candidates: str = "candidates",
        run_folder: str = "",
    ) -> None:
        if view not in CROPPED:
            raise ValueError(f"view is {view!r}; a pair is cropped: choose one of {', '.join(CROPPED)}")
        self.looks = Looks(view, margin, pixels, "none", threads, orientation, max_pixels)
        check_looks(self.looks)
        self._prompt_name, self._prompt = prompt, load_prompt(prompt, "statement")
        self.scorer, self.version = scorer, scorer.version
        self.inputs: tuple[str, ...] = (candidates, "boxes", "images")
        self.neutral_options = ("threads", "cache", "run_folder", *scorer.neutral_options)
        self._cache = cache or (default_cache(run_folder) if run_folder else "")
        self._client: Client | None = None

    def files(self) -> Sequence[str]:
        return [str(prompt_path(self._prompt_name)), *self.scorer.files()]

    def setup(self) -> None:
        client: Client = ScorerClient(self.scorer)
        if self._cache:
            client = CachedClient(
                client,
                Cache(open_folder(self._cache), self.name),
                Ledger(self.name, Price()),
                model=self.scorer.name,
                # sums in batches of another size may differ in the last digit
                server=f"{type(self.scorer).__name__} {self.version} {self.scorer.batch_size}",
                weights=self.scorer.files(),
            )
        client.setup()
        self._client = client

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Score a shard; an image that cannot be read is quarantined with its candidates."""
        if self._client is None:
            self.setup()
        assert self._client is not None
        account = Account()
        groups = group_by_image(tables[self.inputs[0]], tables["boxes"])
        asking = Asking(self._client, self.scorer.name, 0, {self._prompt.hash: self._prompt.text})
        shown = read_shown_groups(groups, tables["images"], self.looks, account)
        requests = (request for one in shown for request in self._of_image(*one))
        answers = asking.ask(requests)
        table = pa.Table.from_pylist(self._rows(groups, answers), SIMILARITY.schema)
        account.keep(sum(len(group.rows) for group in groups.values()))
        return account.result({"similarity": conform("similarity", table, SIMILARITY)})

    def _of_image(self, group: Group, shown: Shown) -> Iterator[Request]:
        """Pair by pair: requests about one view follow one another."""
        asked: dict[tuple[int, int], set[str]] = {}
        for subject, object_, predicate, _ in group.candidates:
            asked.setdefault((subject, object_), set()).add(predicate)
        for pair, predicates in sorted(asked.items()):
            ends = [(group.boxes[end].category, group.boxes[end].xywh) for end in pair]
            others = [box.xywh for box_id, box in sorted(group.boxes.items()) if box_id not in pair]
            view, frame = shown.draw(self.looks, {0: ends[0][1], 1: ends[1][1]}, others)
            words = name_pair(ends[0], ends[1], frame, "none")
            for predicate in sorted(predicates):
                text = self._prompt.fill(words | {"predicate": predicate})
                name = request_name((*pair, predicate))
                yield Request(group.image_id, name, "statement", [view], text, words=(MATCH,))

    def _rows(self, groups: Mapping[str, Group], answers: Answers) -> list[dict[str, object]]:
        """One row a candidate."""
        rows: list[dict[str, object]] = []
        for image_id, group in groups.items():
            for subject, object_, predicate, _ in group.candidates:
                found = answers.of(image_id, request_name((subject, object_, predicate))).answer
                ends = {"subject_box": subject, "object_box": object_, "predicate": predicate}
                rows.append({"image_id": image_id, **ends, "similarity": found.words[MATCH]})
        return rows

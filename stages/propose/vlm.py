"""Stage `propose`, backend `vlm`: which relations hold between numbered boxes, asked in two passes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import MAX_PIXELS, ImageError
from relforge.stages.account import Account
from relforge.stages.answers.asking import Answers, Asking, Finding
from relforge.stages.answers.foresight import Foreseen, foresee
from relforge.stages.answers.shown import Looks, check_looks, read_shown
from relforge.stages.answers.table import ANSWERS, answers_name
from relforge.stages.answers.worth import Worth, group_pairs
from relforge.stages.backend import Backend
from relforge.stages.contract import StageResult
from relforge.stages.propose.questions import Group, Proposals, Questions, group_boxes
from relforge.stages.tables import SCHEMAS, conform
from relforge.vlm.client import Answer, Client, Request, Sampling
from relforge.vlm.options import VlmOptions
from relforge.vlm.probe import Wanted
from relforge.vlm.prompt import load_prompt, prompt_path
from relforge.vlm.schema import OK, Relation


class ProposeStage:
    """Asks for the relations between the boxes of an image, in groups, and again for those that are missing.

    Its candidates have the rule `vlm`, as support the number of samples that said so, and as position their
    order in the answers; they have no score, which is for a tagger to give.

    Args:
        vlm: who is asked.
        view: `marks`: the image is shown plain and with numbered outlines; `plain`: plain alone.
        pixels: longest side of what is shown; smaller images are not enlarged.
        coordinates: boxes in the list of the question: `none`, `relative1000` or `pixels`, as the model was
            taught.
        prompt: `propose/1`, or a file with `{boxes}` and, from its second question on, `{known}`; a line
            `---` is between two questions.
        samples: answers per question.
        temperature: of the answers; 0: the likeliest token.
        max_tokens: of an answer.
        group_boxes: boxes of one question at most.
        max_boxes: boxes of an image at most, the largest ones.
        near: gap between the boxes of a pair at most, in longer sides of the larger box.
        max_ratio: larger area of a pair over the smaller at most.
        threads: image decoders.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.

    Raises:
        ValueError: an option that cannot be; names it and the fix.
    """

    name = "propose"
    version = 1
    inputs: tuple[str, ...] = ("images", "boxes")
    outputs: tuple[str, ...] = ("candidates", answers_name("propose"))

    def __init__(
        self,
        vlm: VlmOptions,
        view: str = "marks",
        pixels: int = 896,
        coordinates: str = "relative1000",
        prompt: str = "propose/1",
        samples: int = 1,
        temperature: float = 0.0,
        max_tokens: int = 1024,
        group_boxes: int = 10,
        max_boxes: int = 30,
        near: float = 0.5,
        max_ratio: float = 100.0,
        threads: int = 2,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if view not in ("marks", "plain"):
            raise ValueError(f"view is {view!r}; proposals are of the whole image: choose marks or plain")
        if samples < 1:
            raise ValueError(f"samples is {samples}; use 1 or more")
        if samples > 1 and temperature == 0:
            raise ValueError("temperature is 0, so all samples are one; use 1.0 with `samples`")
        if group_boxes < 2:
            raise ValueError(f"group_boxes is {group_boxes}; a pair needs 2")
        looks = Looks(view, 0.0, pixels, coordinates, threads, orientation, max_pixels)
        check_looks(looks)
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
        self._prompt = prompt
        self.questions = Questions(load_prompt(prompt, "propose"), sampling, samples, looks)
        self.worth, self.group_boxes = Worth(near, max_ratio, max_boxes), group_boxes
        self.vlm = vlm
        self.neutral_options = ("threads", *vlm.neutral_options)
        self.schemas = {answers_name("propose"): ANSWERS}
        self.announcement = vlm.announcement
        self._client: Client | None = None

    def files(self) -> Sequence[str]:
        return [str(prompt_path(self._prompt)), *self.vlm.files()]

    def foresee(self, rows: Mapping[str, int]) -> Foreseen | None:
        """What so many rows of the tables that it reads will come to, were all boxes of an image near each
        other; None where too little is known.

        Args:
            rows: table -> rows, of those that are known.
        """
        if not rows.get("images") or "boxes" not in rows:
            return None
        boxes = min(rows["boxes"] / rows["images"], self.worth.max_boxes)
        groups = max(1.0, boxes / self.group_boxes) ** 2  # each group covers its own pairs only
        prompt = self.questions.prompt
        return foresee(
            math.ceil(rows["images"] * groups) * self.questions.samples * len(prompt.passes),
            self.vlm.prices,
            characters=len(prompt.text) // len(prompt.passes) + 32 * self.group_boxes,
            views=2 if self.questions.looks.view == "marks" else 1,
            longest=self.questions.looks.pixels,
            max_tokens=self.questions.sampling.max_tokens,
        )

    def setup(self) -> None:
        self._client = self.vlm.build_client("propose", Wanted(json=True))
        self._client.setup()

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Propose for a shard.

        An image without a pair worth asking about is dropped as `no_pair`, one whose answers name no relation
        as `no_relation`; one that cannot be read, or of which no answer can be used, is quarantined.

        Raises:
            ConnectionError, VlmError: see `vlm.client.Client`.
        """
        if self._client is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        groups = self._groups(tables, account)
        prompt = self.questions.prompt
        asking = Asking(self._client, self.vlm.model, self.vlm.seed, {prompt.hash: prompt.text})
        unread: dict[str, ImageError] = {}
        answers = Answers(asking)
        for number in range(len(prompt.passes)):
            requests = self._requests(groups, tables["images"], number, answers, unread)
            answers.said.update(asking.ask(requests, self._examiner(groups)).said)
        dropped: Counter[str] = Counter()
        rows = []
        for image_id, of_image in groups.items():
            if image_id in unread:
                record = {"image_id": image_id}
                account.quarantine(record, unread[image_id].reason, unread[image_id].detail)
            else:
                rows += self._collect(image_id, of_image, answers, account, dropped)
        candidates = conform("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))
        notes: dict[str, Any] = {**answers.notes(), "relations_dropped": dict(sorted(dropped.items()))}
        return account.result({"candidates": candidates, answers_name("propose"): answers.table()}, notes)

    def _groups(self, tables: Mapping[str, pa.Table], account: Account) -> dict[str, list[Group]]:
        """Image -> what is asked of it; images without a pair are dropped."""
        boxes: dict[str, list[dict[str, Any]]] = {}
        for box in tables["boxes"].to_pylist():
            boxes.setdefault(box["image_id"], []).append(box)
        found = {}
        for image_id in tables["images"]["image_id"].to_pylist():
            of_image = boxes.get(image_id, [])
            pairs = self.worth.choose(of_image, account)
            if pairs:
                ids = group_pairs(pairs, self.group_boxes)
                found[image_id] = group_boxes(image_id, of_image, pairs, ids)
            else:
                account.drop("no_pair")
        return found

    def _requests(
        self,
        groups: Mapping[str, list[Group]],
        images: pa.Table,
        number: int,
        answers: Answers,
        unread: dict[str, ImageError],
    ) -> Iterator[Request]:
        """Those of a pass: each sample goes on from what it said itself."""
        asked = [image_id for image_id in groups if image_id not in unread]
        images = images.filter(pc.is_in(images["image_id"], pa.array(asked, pa.string())))
        for image_id, shown in read_shown(images, self.questions.looks):
            if isinstance(shown, ImageError):
                unread[image_id] = shown
                continue
            for group in groups[image_id]:
                known = {
                    sample: said
                    for sample in range(self.questions.samples)
                    if (said := _said(answers, group, number, sample)) is not None
                }
                yield from self.questions.ask(group, shown, number, known)

    def _examiner(self, groups: Mapping[str, list[Group]]) -> Any:
        def examine(request: Request, answer: Answer) -> Finding:
            index = int(request.request_id.split("-")[0])
            return self.questions.examine(answer, groups[request.image_id][index])

        return examine

    def _collect(
        self,
        image_id: str,
        groups: Sequence[Group],
        answers: Answers,
        account: Account,
        dropped: Counter[str],
    ) -> list[dict[str, Any]]:
        proposals = Proposals(image_id)
        failures: list[Finding] = []
        usable = 0
        for group in groups:
            for number in range(len(self.questions.prompt.passes)):
                for sample in range(self.questions.samples):
                    request_id = group.request_id(number, sample)
                    if (image_id, request_id) not in answers.said:
                        continue
                    finding = answers.of(image_id, request_id).finding
                    if finding.verdict == OK:
                        usable += 1
                        proposals.add(group, sample, finding.value, dropped)
                    else:
                        failures.append(finding)
        rows = list(proposals.rows())
        if not usable:
            account.quarantine({"image_id": image_id}, failures[0].verdict, failures[0].detail)
        elif rows:
            account.keep()
        else:
            account.drop("no_relation")
        return rows


def _said(answers: Answers, group: Group, number: int, sample: int) -> list[Relation] | None:
    """What a sample said in the passes before; None where one of them cannot be used."""
    said: list[Relation] = []
    for earlier in range(number):
        finding = answers.of(group.image_id, group.request_id(earlier, sample)).finding
        if finding.verdict != OK:
            return None
        said += finding.value.relations
    return said


stage = Backend(ProposeStage, VlmOptions)

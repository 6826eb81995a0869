"""Tagger `vlm`: a vision-language model is asked of each candidate whether the image shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from relforge.images import MAX_PIXELS
from relforge.stages.account import Account
from relforge.stages.answers.asking import Answers, Asking, Finding
from relforge.stages.answers.foresight import Foreseen, foresee
from relforge.stages.answers.shown import Looks, Shown, check_looks
from relforge.stages.answers.table import ANSWERS, answers_name
from relforge.stages.backend import Backend
from relforge.stages.candidate_columns import as_grounded
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS, conform
from relforge.stages.tag.groups import Group, group_by_image
from relforge.stages.tag.judging import SCORES, Judging
from relforge.stages.tag.shown_groups import read_shown_groups
from relforge.vlm.client import Client, Request, Sampling
from relforge.vlm.options import VlmOptions
from relforge.vlm.probe import Wanted
from relforge.vlm.prompt import load_prompt, prompt_path
from relforge.vlm.schema import MIN_MASS, OFF_TOPIC, OK


class JudgeStage:
    """Scores every candidate with P(yes) of a vision-language model; `tag_answers` keeps all answers.

    Args:
        vlm: who is asked.
        view: what is shown: `blur` (both boxes sharp in a crop, the rest blurred), `crop`, `black` (other
            boxes black), `marks` (the whole image with both boxes outlined) or `plain`.
        margin: around the boxes of a crop, share of their rectangle.
        pixels: longest side of what is shown; smaller images are not enlarged.
        coordinates: boxes in words: `none`, `relative1000` or `pixels`, as the model was taught.
        prompt: `judge/1`, or a file with `{predicate}`, `{the_subject}`, `{the_object}`; None: `judge/1`, and
            `statement/1` with `score: likelihood`.
        score: `logprobs` (probabilities of the first token), `systemone` (the server's own P(yes)), `sample`
            (share of yes in `samples` answers) or `likelihood` (of a BLIP captioner in this process: how
            likely it writes the statement, among those with other predicates).
        against: with `score: likelihood`, the predicates that compete.
        swap: ask about the exchanged pair too; a relation that is likelier that way round loses the
            difference.
        samples: answers per question, with `score: sample`.
        temperature: of sampled answers; 0: the likeliest token.
        max_tokens: of an answer.
        min_mass: probability of yes and no together; with less, a candidate is dropped as `off_topic`.
        floor: scores not above it are counted as `below_floor` and not written.
        threads: image decoders.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.
        candidates: table they are read from: `candidates`, or `grounded` where the run has that stage.

    Raises:
        ValueError: an option that cannot be; names it and the fix.
    """

    name = "tag"
    version = 1
    inputs: tuple[str, ...] = ("candidates", "boxes", "images")
    outputs: tuple[str, ...] = ("scores", answers_name("tag"))

    def __init__(
        self,
        vlm: VlmOptions,
        view: str = "blur",
        margin: float = 0.15,
        pixels: int = 448,
        coordinates: str = "none",
        prompt: str | None = None,
        score: str = "logprobs",
        against: Sequence[str] = (),
        swap: bool = False,
        samples: int = 1,
        temperature: float = 0.0,
        max_tokens: int = 2,
        min_mass: float = MIN_MASS,
        floor: float = 0.05,
        threads: int = 2,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
        candidates: str = "candidates",
    ) -> None:
        if score not in SCORES:
            raise ValueError(f"score is {score!r}; choose one of {', '.join(SCORES)}")
        if isinstance(against, str):
            raise ValueError(f"against is a text; give a list of predicates, e.g. [{against}]")
        if bool(against) != (score == "likelihood"):
            raise ValueError("against and `score: likelihood` go together; give both or neither")
        if not 0 <= floor < 1:
            raise ValueError(f"floor is {floor}; it must be a probability below 1")
        if not 0 <= min_mass <= 1:
            raise ValueError(f"min_mass is {min_mass}; it must be a probability")
        if samples < 1 or (samples > 1 and score != "sample"):
            raise ValueError(f"samples is {samples}; several are for `score: sample`, else leave it out")
        if samples > 1 and temperature == 0:
            raise ValueError("temperature is 0, so all samples are one; use 1.0 with `samples`")
        self.looks = Looks(view, margin, pixels, coordinates, threads, orientation, max_pixels)
        check_looks(self.looks)
        role = "statement" if score == "likelihood" else "judge"
        self._prompt = prompt or f"{role}/1"
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
        text = load_prompt(self._prompt, role)
        self.judging = Judging(text, score, swap, samples, sampling, coordinates, min_mass, tuple(against))
        self.vlm, self.floor = vlm, floor
        self.inputs = (candidates, "boxes", "images")
        self.schemas = {answers_name("tag"): ANSWERS}
        self.neutral_options = ("threads", *vlm.neutral_options)
        self.announcement = vlm.announcement
        self._client: Client | None = None

    def _wanted(self) -> Wanted:
        """What the client has to be able to do; the share of yes in samples needs nothing."""
        return Wanted(words="" if self.judging.score == "sample" else self.judging.score)

    def files(self) -> Sequence[str]:
        return [str(prompt_path(self._prompt)), *self.vlm.files()]

    def foresee(self, rows: Mapping[str, int]) -> Foreseen | None:
        """What so many rows of the tables that it reads will come to; None where too little is known.

        With `likelihood`, as if each candidate were of a pair of its own: those of one pair share the
        statements that they compete with.

        Args:
            rows: table -> rows, of those that are known.
        """
        if self.inputs[0] not in rows:
            return None
        judging = self.judging
        asked = rows[self.inputs[0]] * (2 if judging.swap else 1)
        if judging.score == "likelihood":  # in this process: texts are scored, nothing is written or paid
            asked *= 1 + len(judging.against)
            length = len(judging.prompt.text)
            return foresee(asked, self.vlm.prices, characters=length, views=0, longest=0, max_tokens=0)
        return foresee(
            asked * (judging.samples if judging.score == "sample" else 1),
            self.vlm.prices,
            characters=len(judging.prompt.text),
            views=1,
            longest=self.looks.pixels,
            max_tokens=judging.sampling.max_tokens,
        )

    def setup(self) -> None:
        self._client = self.vlm.build_client("tag", self._wanted())
        self._client.setup()

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Judge a shard; an image that cannot be read is quarantined with its candidates, a candidate that
        the model does not answer about is quarantined under the reason why.

        Raises:
            ConnectionError, VlmError: see `vlm.client.Client`.
        """
        if self._client is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        candidates = as_grounded(tables[self.inputs[0]])
        groups = group_by_image(candidates, tables["boxes"])
        prompt = self.judging.prompt
        asking = Asking(self._client, self.vlm.model, self.vlm.seed, {prompt.hash: prompt.text})
        shown = read_shown_groups(groups, tables["images"], self.looks, account)
        requests = (request for one in shown for request in self._of_image(*one))
        answers = asking.ask(requests, self.judging.examine)
        rows, scores = self._judge(groups, answers, account)
        made = {"scores": self._table(candidates, rows, scores), answers_name("tag"): answers.table()}
        return account.result(made, answers.notes())

    def _of_image(self, group: Group, shown: Shown) -> Iterator[Request]:
        """Pair by pair: requests about one view follow one another."""
        asked: dict[tuple[int, int], list[str]] = {}
        for subject, object_, predicate, _ in group.candidates:
            asked.setdefault((subject, object_), []).append(predicate)
        for pair, predicates in sorted(asked.items()):
            subject_end, object_end = ((group.boxes[end].category, group.boxes[end].xywh) for end in pair)
            others = [box.xywh for box_id, box in sorted(group.boxes.items()) if box_id not in pair]
            view, frame = shown.draw(self.looks, {0: subject_end[1], 1: object_end[1]}, others)
            ends = subject_end, object_end
            yield from self.judging.ask(group.image_id, pair, predicates, ends, view, frame)

    def _judge(
        self, groups: Mapping[str, Group], answers: Answers, account: Account
    ) -> tuple[list[int], list[float]]:
        """Rows of the candidates that are kept, and their scores."""
        findings: dict[str, dict[str, Finding]] = {}
        for image_id, request_id in answers.said:
            findings.setdefault(image_id, {})[request_id] = answers.of(image_id, request_id).finding
        rows, scores = [], []
        for image_id, group in groups.items():
            for row, candidate in zip(group.rows, group.candidates, strict=True):
                found = self.judging.judge(findings[image_id], candidate[:3])
                if found.verdict == OFF_TOPIC:
                    account.drop(OFF_TOPIC)
                elif found.verdict != OK or found.p_yes is None:
                    record = {"image_id": image_id, **candidate._asdict()}
                    del record["position"]
                    account.quarantine(record, found.verdict, found.detail)
                elif np.float32(found.p_yes) > np.float32(self.floor):
                    account.keep()
                    rows.append(row)
                    scores.append(found.p_yes)
                else:
                    account.drop("below_floor")
        return rows, scores

    def _table(self, candidates: pa.Table, rows: list[int], scores: list[float]) -> pa.Table:
        model = self.vlm.model
        name = Path(model).name if Path(model).exists() else model
        table = candidates.take(pa.array(rows, pa.int64()))
        columns = {
            "score": pa.array(scores, pa.float32()),
            "subject_score": pa.nulls(len(rows), pa.float32()),
            "object_score": pa.nulls(len(rows), pa.float32()),
            "tagger": pa.array([f"vlm:{name}@{self.judging.prompt.hash[:8]}"] * len(rows), pa.string()),
        }
        for column in SCHEMAS["scores"].names:
            if column in columns:
                table = table.append_column(column, columns[column])
        return conform("scores", table)


stage = Backend(JudgeStage, VlmOptions)

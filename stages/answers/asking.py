"""A shard's requests answered: each once, a second time where that may help, whatever the order."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa

from relforge.stages.answers.table import ANSWERS
from relforge.stages.contract import Postponed
from relforge.stages.tables import conform
from relforge.vlm.budget import BudgetSpent
from relforge.vlm.client import Answer, Client, Request
from relforge.vlm.seed import derive_seed

AGAIN = 1000
"""Added to the sample index of a request that is asked a second time, because its answer was no JSON."""
_REFUSAL = re.compile(
    r"^\W*(?:I['’]m sorry|I am sorry|Sorry,|I apologi[sz]e|I['’]m unable|I am unable|"
    r"I (?:can['’]?t|cannot|can not)|As an AI\b)",
    re.IGNORECASE,
)


class Finding(NamedTuple):
    """What a stage makes of an answer.

    Args:
        verdict: `ok`, or a reason code; `invalid_json` is asked once more.
        detail: one sentence for a verdict that is not `ok`.
        p_yes, p_mass: of a judge, for the columns of those names.
        value: what the stage goes on with; stays in memory.
    """

    verdict: str = "ok"
    detail: str = ""
    p_yes: float | None = None
    p_mass: float | None = None
    value: Any = None


Examine = Callable[[Request, Answer], Finding]


class Result(NamedTuple):
    """A request (without its views), its answer, and what the stage makes of it."""

    request: Request
    image_hash: str
    answer: Answer
    finding: Finding


@dataclass(frozen=True)
class Asking:
    """What decides a stage's answers beside its requests.

    Args:
        client: who answers.
        model: as asked for.
        seed: of the run.
        prompts: hash -> text of the prompts, for the notes; with more than one, a request says which is its
            own by `facts["prompt_hash"]`.
    """

    client: Client
    model: str
    seed: int
    prompts: Mapping[str, str]

    def ask(self, requests: Iterable[Request], examine: Examine | None = None) -> Answers:
        """Have every request answered.

        Args:
            requests: of the shard, each image's one after the other; read no faster than they are answered.
            examine: judges answers that are neither refused nor cut off; by default all are `ok`.

        Raises:
            ConnectionError, VlmError: see `Client.ask`.
            Postponed: `max_cost` is spent.
            RuntimeError: two requests of an image have one id, or the client answered another number of them.
        """
        answers = Answers(self)
        again: deque[Request] = deque()
        asked: set[tuple[str, str]] = set()

        def stream() -> Iterator[Request]:
            for request in requests:
                while again:
                    yield note(again.popleft())
                yield note(request)

        def note(request: Request) -> Request:
            key = (request.image_id, request.request_id)
            if key in asked:
                raise RuntimeError(f"image {key[0]}: two requests have the id {key[1]!r}")
            asked.add(key)
            return request

        def answer(stream: Iterator[Request]) -> None:
            for request, given in _postponing(self.client.ask(stream)):
                finding = _examine(request, given, examine)
                if second := _second(request, finding.verdict):
                    again.append(second)
                answers.add(request, given, finding)

        answer(stream())
        while again:
            batch = sorted(again, key=lambda one: (one.image_id, one.request_id))
            again.clear()
            answer(note(one) for one in batch)
        if len(answers.said) != len(asked):
            raise RuntimeError(f"{len(asked)} requests got {len(answers.said)} answers")
        return answers


class Answers:
    """The answers to a shard's requests.

    Attributes:
        said: every result, second requests included, by (image id, request id).
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.said: dict[tuple[str, str], Result] = {}

    def add(self, request: Request, answer: Answer, finding: Finding) -> None:
        """Keep an answer; the pixels are let go."""
        image_hash = request.views[0].source_hash if request.views else ""
        light = replace(request, views=())
        self.said[request.image_id, request.request_id] = Result(light, image_hash, answer, finding)

    def of(self, image_id: str, request_id: str) -> Result:
        """The result that counts for a request: that of the second attempt where there was one."""
        for second in ("~more", "~again"):
            if found := self.said.get((image_id, request_id + second)):
                return found
        return self.said[image_id, request_id]

    def table(self) -> pa.Table:
        """All that was said, as `ANSWERS`."""
        rows = [self._row(result) for result in self.said.values()]
        return conform("answers", pa.Table.from_pylist(rows, schema=ANSWERS.schema), ANSWERS)

    def notes(self) -> dict[str, Any]:
        """Facts for the sidecar that two runs over the same answers share."""
        results = self.said.values()
        usages = [result.answer.usage for result in results if result.answer.usage]
        return {
            "answers": dict(sorted(Counter(result.finding.verdict for result in results).items())),
            "tokens": {
                "input": sum(usage.input_tokens for usage in usages),
                "output": sum(usage.output_tokens for usage in usages),
                "uncounted_answers": len(self.said) - len(usages),
            },
            "prompts": dict(self._asking.prompts),
            "models_reported": sorted({result.answer.model_reported for result in results}),
            "client": dict(self._asking.client.notes()),
        }

    def _row(self, result: Result) -> dict[str, Any]:
        request, image_hash, answer, finding = result
        facts = {"prompt_hash": next(iter(self._asking.prompts), "")} | dict(request.facts)
        return {
            **dict.fromkeys(ANSWERS.schema.names),
            **facts,
            "image_id": request.image_id,
            "request_id": request.request_id,
            "role": request.role,
            "sample": request.sample,
            "model": self._asking.model,
            "model_reported": answer.model_reported,
            "image_hash": image_hash,
            "seed": derive_seed(self._asking.seed, request),
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "logprob": answer.logprob,
            "p_yes": finding.p_yes,
            "p_mass": finding.p_mass,
            "input_tokens": answer.usage.input_tokens if answer.usage else None,
            "output_tokens": answer.usage.output_tokens if answer.usage else None,
            "verdict": finding.verdict,
        }


def _postponing(answers: Iterator[tuple[Request, Answer]]) -> Iterator[tuple[Request, Answer]]:
    try:
        yield from answers
    except BudgetSpent as error:
        raise Postponed(str(error)) from None


def _examine(request: Request, answer: Answer, examine: Examine | None) -> Finding:
    """What holds for all roles, then the stage's own examination."""
    if answer.verdict != "ok":
        return Finding(answer.verdict, answer.detail)
    if not request.words:  # the answer of a judge is one token, which ends by its length
        if _REFUSAL.match(answer.text):
            return Finding("refused", "the model declines to answer")
        if answer.finish_reason == "length" and (request.schema is not None or not answer.text.strip()):
            limit = request.sampling.max_tokens
            return Finding("truncated", f"the answer did not end within {limit} tokens; raise max_tokens")
    return examine(request, answer) if examine else Finding()


def _second(request: Request, verdict: str) -> Request | None:
    """The request that is made because of a verdict; none for the verdict on a second answer."""
    if request.request_id.endswith(("~more", "~again")):
        return None
    if verdict == "truncated":
        longer = replace(request.sampling, max_tokens=2 * request.sampling.max_tokens)
        return replace(request, request_id=f"{request.request_id}~more", sampling=longer)
    if verdict == "invalid_json":
        return replace(request, request_id=f"{request.request_id}~again", sample=request.sample + AGAIN)
    return None

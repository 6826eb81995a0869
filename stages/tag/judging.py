"""What a judge is asked of a relation, and what its answers come to: ways to have a probability of yes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relforge.stages.answers.asking import Finding
from relforge.vlm.client import Answer, Request, Sampling, View
from relforge.vlm.frame import XYWH, Frame
from relforge.vlm.prompt import Prompt
from relforge.vlm.schema import OFF_TOPIC, OK, read_judgement
from relforge.vlm.wording import name_pair

YES, NO = ("Yes", "yes"), ("No", "no")
SCORES = ("logprobs", "systemone", "sample", "likelihood")
"""How p is had: from the probabilities of the first token, by the server's `/v1/systemone`, as the share of
yes in several answers, or from how likely a captioner writes the statement among others about the pair."""

End = tuple[str, XYWH]
"""Class and box (annotated pixels) of one end of a pair."""
SWAPPED = "-swapped"


@dataclass(frozen=True)
class Judging:
    """Args:
    prompt: of role `judge`, of role `statement` with `likelihood`.
    score: one of `SCORES`.
    swap: ask with subject and object exchanged too.
    samples: answers per question, with `sample`.
    sampling: of an answer.
    coordinates: see `vlm.frame`.
    min_mass: of the words of yes and no, below which an answer is `off_topic`.
    against: with `likelihood`, the predicates that compete.
    """

    prompt: Prompt
    score: str
    swap: bool
    samples: int
    sampling: Sampling
    coordinates: str
    min_mass: float
    against: Sequence[str] = ()

    def ask(
        self,
        image_id: str,
        pair: tuple[int, int],
        predicates: Sequence[str],
        ends: tuple[End, End],
        view: View,
        frame: Frame,
    ) -> Iterator[Request]:
        """The requests about one pair.

        Args:
            pair: box ids of subject and object.
            predicates: of the pair's candidates.
            ends: subject and object.
            view, frame: what is shown, and where boxes lie in it.
        """
        ways = {"": name_pair(*ends, frame, self.coordinates)}
        if self.swap:
            ways[SWAPPED] = name_pair(*ends[::-1], frame, self.coordinates)
        for predicate in sorted({*predicates, *self.against}):
            for way, words in ways.items():
                for sample in range(self._count):
                    yield Request(
                        image_id,
                        f"{request_name((*pair, predicate))}{way}-{sample}",
                        "judge",
                        [view],
                        self.prompt.fill(words | {"predicate": predicate}),
                        sampling=self.sampling,
                        sample=sample,
                        words=(*YES, *NO) if self.score in ("logprobs", "systemone") else (),
                        facts={"subject_box": pair[0], "object_box": pair[1], "predicate": predicate},
                    )

    @property
    def _count(self) -> int:
        return self.samples if self.score == "sample" else 1

    def examine(self, request: Request, answer: Answer) -> Finding:
        """P(yes) of one answer; see `Asking.ask`."""
        if self.score == "likelihood":
            return Finding(value=answer.logprob)
        found = read_judgement(answer, YES, NO, self.min_mass)
        if found.verdict != OK:
            detail = f"yes and no have a probability of {found.mass:.3f} together"
            return Finding(OFF_TOPIC, detail, p_mass=found.mass)
        return Finding(p_yes=found.p, p_mass=found.mass)

    def judge(self, findings: Mapping[str, Finding], relation: tuple[int, int, str]) -> Finding:
        """What all answers about a relation come to, as a `p_yes`.

        With `swap`, p falls by as much as the exchanged relation is likelier: p - max(0, p' - p), not below
        0. A relation that holds both ways keeps its p; one that the model takes the wrong way round loses it.
        With `likelihood`, p is the statement's share among those of all predicates, and, with `swap`, of
        its own exchanged form.

        Args:
            findings: request id -> what its answer came to, of the image.
        """
        if self.score == "likelihood":
            return self._share(findings, relation)
        name = request_name(relation)
        straight = self._mean(findings, name)
        if straight.verdict != OK or not self.swap:
            return straight
        exchanged = self._mean(findings, f"{name}{SWAPPED}")
        if exchanged.verdict != OK:
            return exchanged
        assert straight.p_yes is not None
        assert exchanged.p_yes is not None
        return Finding(p_yes=max(0.0, straight.p_yes - max(0.0, exchanged.p_yes - straight.p_yes)))

    def _mean(self, findings: Mapping[str, Finding], name: str) -> Finding:
        """The mean of the samples that say yes or no; the first one's reason where none does."""
        each = [findings[f"{name}-{sample}"] for sample in range(self._count)]
        said = [one.p_yes for one in each if one.p_yes is not None]
        return Finding(p_yes=sum(said) / len(said)) if said else each[0]

    def _share(self, findings: Mapping[str, Finding], relation: tuple[int, int, str]) -> Finding:
        subject, object_, _ = relation
        own = f"{request_name(relation)}-0"
        names = {f"{request_name((subject, object_, one))}-0" for one in self.against} | {own}
        if self.swap:
            names.add(f"{request_name(relation)}{SWAPPED}-0")
        for name in (own, *sorted(names)):
            if findings[name].verdict != OK:
                return findings[name]
        best = max(findings[name].value for name in names)
        total = sum(math.exp(findings[name].value - best) for name in names)
        return Finding(p_yes=math.exp(findings[own].value - best) / total)


def request_name(relation: tuple[int, int, str]) -> str:
    """How the requests about a relation begin."""
    subject_box, object_box, predicate = relation
    return f"{subject_box}-{object_box}-{predicate}"

"""What a proposer is asked of a group of boxes, and which relations its answers propose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relforge.stages.answers.asking import Finding
from relforge.stages.answers.shown import Looks, Shown
from relforge.stages.answers.worth import xywh_of
from relforge.vlm.client import Answer, Request, Sampling
from relforge.vlm.prompt import Prompt
from relforge.vlm.schema import OK, Reading, Relation, read_relations, relations_schema

ByNumber = Mapping[int, Mapping[str, Any]]
"""Number in the question -> row of the `boxes` table."""


@dataclass(frozen=True)
class Group:
    """Boxes that one question is about.

    Args:
        image_id, index: of the image, and of the group within it.
        boxes: number from 1 -> row of the `boxes` table.
        pairs: box ids of the pairs that are worth asking about, the smaller first.
    """

    image_id: str
    index: int
    boxes: ByNumber
    pairs: frozenset[tuple[int, int]]

    def request_id(self, number: int, sample: int) -> str:
        """Of the question's pass and sample."""
        return f"{self.index}-{number}-{sample}"


@dataclass(frozen=True)
class Questions:
    """Args:
    prompt: of role `propose`.
    sampling: of an answer.
    samples: answers per question.
    looks: how images are shown; with `marks` the image is shown plain first, then with numbered outlines.
    """

    prompt: Prompt
    sampling: Sampling
    samples: int
    looks: Looks

    def ask(
        self, group: Group, shown: Shown, number: int, known: Mapping[int, Sequence[Relation]]
    ) -> Iterator[Request]:
        """The requests of a pass about a group.

        Args:
            number: of the pass.
            known: sample -> what it said in earlier passes; a sample without an entry is not asked.
        """
        rectangles = {mark: xywh_of(box) for mark, box in group.boxes.items()}
        plain, frame = shown.draw(self.looks, rectangles, view="plain")
        views = [plain]
        if self.looks.view == "marks":
            views.append(shown.draw(self.looks, rectangles)[0])
        listed = "\n".join(
            f"{mark}: {box['category']} {frame.write(rectangles[mark], self.looks.coordinates)}".rstrip()
            for mark, box in group.boxes.items()
        )
        for sample in known:
            said = [f"{one.subject} {one.predicate} {one.object}" for one in known[sample]]
            yield Request(
                group.image_id,
                group.request_id(number, sample),
                "propose",
                views,
                self.prompt.fill({"boxes": listed, "known": "\n".join(said) or "none"}, number),
                sampling=self.sampling,
                sample=sample,
                schema=relations_schema(group.boxes, group.boxes),
            )

    def examine(self, answer: Answer, group: Group) -> Finding:
        """Read an answer; see `Asking.ask`."""
        reading = read_relations(answer.text, group.boxes, group.boxes)
        if reading.verdict != OK:
            return Finding(reading.verdict, "the answer is not the JSON that was asked for")
        return Finding(value=reading)


class Proposals:
    """Candidates of one image, from all its answers in the order in which they were asked for."""

    def __init__(self, image_id: str) -> None:
        self.image_id = image_id
        self._samples: dict[tuple[int, int, str], set[int]] = {}

    def add(self, group: Group, sample: int, reading: Reading, dropped: Counter[str]) -> None:
        """Take what a sample said; what is left out is counted."""
        dropped.update(reading.dropped)
        for relation in reading.relations:
            ends = [int(group.boxes[mark]["box_id"]) for mark in (relation.subject, relation.object)]
            if (min(ends), max(ends)) in group.pairs:
                self._samples.setdefault((ends[0], ends[1], relation.predicate), set()).add(sample)
            else:
                dropped["pair_not_asked"] += 1

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of the `candidates` table."""
        for position, ((subject, object_, predicate), samples) in enumerate(self._samples.items()):
            yield {
                "image_id": self.image_id,
                "subject_box": subject,
                "object_box": object_,
                "predicate": predicate,
                "position": position,
                "support": len(samples),
                "caption_ids": [],
                "triplet_ids": [],
                "rule": "vlm",
                "claim_id": position,
                "alternatives": 1,
            }


def group_boxes(
    image_id: str, boxes: Sequence[Mapping[str, Any]], pairs: Sequence[tuple[int, int]], groups: Any
) -> list[Group]:
    """The groups of one image, each with its own numbers from 1.

    Args:
        groups: lists of box ids (`worth.group_pairs`).
    """
    by_id = {box["box_id"]: box for box in boxes}
    return [
        Group(image_id, index, dict(enumerate((by_id[box] for box in ids), 1)), frozenset(pairs))
        for index, ids in enumerate(groups)
    ]

"""A caption's decisions put together, before they become a scene graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relforge.stages.parse.learned.tables import Tables

if TYPE_CHECKING:
    from relforge.stages.parse.learned.network import Decisions

Span = tuple[int, int]
"""Words [first, last], both included."""


@dataclass(slots=True)
class Parse:
    """Spans are word indices of the caption, both ends included.

    Args:
        entities: chunks in caption order.
        attributes: (chunk, entity index).
        implied: (entity index, attribute) without a word.
        relations: (subject index, object index, frame, filler word or -1, probability).
    """

    words: Sequence[str]
    entities: list[Span] = field(default_factory=list)
    attributes: list[tuple[Span, int]] = field(default_factory=list)
    implied: list[tuple[int, str]] = field(default_factory=list)
    relations: list[tuple[int, int, str, int, float]] = field(default_factory=list)


def assemble(sentences: Sequence[Sequence[str]], decisions: Decisions, tables: Tables) -> list[Parse]:
    """Distribute the flat decisions of a batch to its sentences."""
    parses = [Parse(sentence) for sentence in sentences]
    starts = decisions.start.tolist()
    sentence_of: list[int] = (decisions.start.searchsorted(decisions.entity[:, 0], "right") - 1).tolist()
    number: list[int] = []
    for sentence, (first, last) in zip(sentence_of, decisions.entity.tolist(), strict=True):
        offset, entities = starts[sentence], parses[sentence].entities
        number.append(len(entities))
        entities.append((first - offset, last - offset))
    chunks = decisions.attribute.tolist()
    for attribute, entity in decisions.owner.tolist():
        sentence = sentence_of[entity]
        offset, (first, last) = starts[sentence], chunks[attribute]
        parses[sentence].attributes.append(((first - offset, last - offset), number[entity]))
    for entity, text in decisions.implied.tolist():
        parses[sentence_of[entity]].implied.append((number[entity], tables.implied[text]))
    frames = tables.frames
    for (subject, obj, frame, filler), sure in zip(
        decisions.relation.tolist(), decisions.confidence.tolist(), strict=True
    ):
        sentence = sentence_of[subject]
        filler = filler - starts[sentence] if filler >= 0 else -1
        parses[sentence].relations.append((number[subject], number[obj], frames[frame], filler, sure))
    return parses

"""The scene graph of one caption, and what a parser is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entity:
    """A thing the caption names.

    Args:
        text: surface noun phrase with its determiners and adjectives, as the caption has it.
        lemma: lemmas of the phrase's tokens, single spaces between them.
        head: surface head noun (compounds included, as in `hot dog`).
        start, end: character span [start, end) of `text` in the caption; -1 where unknown.
        attributes: adjectives, counts and other modifiers that are kept aside.
    """

    text: str
    lemma: str
    head: str
    start: int = -1
    end: int = -1
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Relation:
    """`subject` has the relation `predicate` to `object`; both are indices into the graph's entities.

    Args:
        predicate: surface text, verb kept with its preposition where the parser can.
        lemma: the same, lemmatised.
        start, end: character span of the predicate's words; -1 where unknown or not contiguous.
        confidence: the parser's probability, or None.
    """

    subject: int
    predicate: str
    lemma: str
    object: int
    start: int = -1
    end: int = -1
    confidence: float | None = None


@dataclass(frozen=True)
class SceneGraph:
    """Entities and relations of one caption, in the order of the caption."""

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()


class Parser(Protocol):
    """Captions in, scene graphs out: same length, same order, independent of batch composition."""

    name: str
    gives_confidence: bool
    """Whether its relations have a confidence. A parser that has an attribute `min_confidence` once it is set
    up gives relations below it for those who ask for them; the stage drops them by default."""
    neutral_options: tuple[str, ...]
    """Options of its constructor that change no graph (a batch size); they stay out of the fingerprint."""

    def files(self) -> Sequence[str]:
        """Files of the model, whose content decides the output. Callable before `setup`.

        Raises:
            ValueError, OSError: the model is missing; the sentence gives the fix.
        """
        ...

    def setup(self) -> None:
        """Load the model."""
        ...

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        """Parse a batch. A caption that cannot be parsed raises `ParseError` naming its index."""
        ...


class ParseError(ValueError):
    """A caption this parser cannot handle; the stage sets that caption aside."""

    def __init__(self, index: int, detail: str) -> None:
        super().__init__(f"caption {index}: {detail}")
        self.index = index
        self.detail = detail

"""What relabels: images with their boxes in, scored relations between these boxes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from relforge.stages.answers.worth import Worth
from relforge.stages.tag.tagger import ImageCandidates, LoadedTagger, Scores
from relforge.tagger.request import Failure

P = TypeVar("P")


@dataclass(frozen=True)
class Vocabulary:
    """What a model may be asked for.

    Args:
        predicates: of the first round, the commonest first, or those that the options name.
        named: whether the options name them.
        classes: of the dataset.
        limit: predicates that a model is asked for at most, where the options name none.
    """

    predicates: Sequence[str]
    named: bool
    classes: Sequence[str]
    limit: int


def choose_predicates(model: str, own: Sequence[str], closed: bool, vocabulary: Vocabulary) -> list[str]:
    """What is asked for: what the options name, else what the model learnt, else the first round's.

    Args:
        model: its name, for messages.
        own: relations that it was trained on; none where it does not say.
        closed: whether it knows no others.

    Raises:
        ValueError: it knows none of them, or not one that the options name.
    """
    listed = list(vocabulary.predicates)
    if vocabulary.named:
        if closed and (unknown := [one for one in listed if one not in own]):
            raise ValueError(f"predicates: {model} was not trained on {unknown[0]!r}; leave it out")
        return listed
    if own and listed and not set(own) & set(listed):
        raise ValueError(
            f"{model} was trained on other relations ({', '.join(own[:3])}, ...) than the first round has "
            f"({', '.join(listed[:3])}, ...); name what to ask for in `predicates`"
        )
    rank = {one: place for place, one in enumerate(listed)}
    return sorted(own or listed, key=lambda one: rank.get(one, len(rank)))[: vocabulary.limit]


class Relabeller(Protocol[P]):
    """A trained model. Its constructor takes the options by keyword and loads nothing."""

    version: int
    """Raise it when the same images would get other relations."""
    neutral_options: tuple[str, ...]
    """Options that decide nothing, such as the device."""
    worth: Worth | None
    """Which pairs it is given, each with every predicate; None: it searches itself."""
    proposed: bool
    """Whether it is given the first round's candidates instead."""

    def files(self) -> Sequence[str]:
        """Paths of the files that decide the relations; callable before `load`.

        Raises:
            FileNotFoundError: the model is not there.
            ValueError: it is of a kind that this cannot use.
        """
        ...

    def load(self, floor: float, vocabulary: Vocabulary) -> tuple[LoadedTagger, Sequence[str]]:
        """Load the model; called once per worker, before anything below.

        Returns:
            What the stage needs of it, and the predicates that it is asked for (`choose_predicates`).

        Raises:
            ValueError: the model's classes or relations do not fit.
        """
        ...

    def prepare(self, pixels: NDArray[np.uint8]) -> P:
        """Make of H x W x 3 pixels what `tag` needs; called in the thread that decodes."""
        ...

    def fits(self, predicate: str) -> bool:
        """Whether the model can read a text of this length."""
        ...

    def tag(self, images: Iterable[ImageCandidates[P]]) -> Iterable[Scores | Failure]:
        """Relations of every image of a stream, in any order; see `tag.tagger.Tagger`."""
        ...

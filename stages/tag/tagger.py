"""What a tagger is: images with candidates in, scores out. The stage reads images and keeps the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from relforge.tagger.request import Failure

P = TypeVar("P")
"""What a tagger makes of an image's pixels while it is read, e.g. a resized tensor."""


class Box(NamedTuple):
    """A box of an image, in pixels: x, y of the top-left corner, width, height."""

    category: str
    x: float
    y: float
    w: float
    h: float

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """The rectangle alone."""
        return self.x, self.y, self.w, self.h


class Candidate(NamedTuple):
    """A relation to score.

    Args:
        subject_box, object_box: box ids.
        predicate: text of the relation.
        position: rank of the relation's first appearance in the image's captions.
    """

    subject_box: int
    object_box: int
    predicate: str
    position: int


@dataclass(frozen=True)
class ImageCandidates(Generic[P]):
    """An image and its candidates.

    Args:
        image_id: as in the `images` table.
        pixels: what `Tagger.prepare` returned.
        width, height: annotated size in pixels, the unit of the boxes; the stored image may be larger or
            smaller by one factor.
        boxes: box id -> box; every box of the image.
        candidates: what to score.
    """

    image_id: str
    pixels: P
    width: int
    height: int
    boxes: Mapping[int, Box]
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Scores:
    """Scores of one image, each in [0, 1].

    Args:
        image_id: of the image.
        relation: one score per candidate, in the order given.
        subject, object: confidences of the two ends, in the same order; None where there are none.
        scored: set by a tagger that scores other relations too: what each score belongs to, the index of a
            candidate or a relation that no caption proposed.
    """

    image_id: str
    relation: NDArray[np.float32]
    subject: NDArray[np.float32] | None = None
    object: NDArray[np.float32] | None = None
    scored: Sequence[int | Candidate] | None = None


@dataclass(frozen=True)
class LoadedTagger:
    """What the stage needs of a tagger, available once it is loaded.

    Args:
        name: for the `tagger` column, e.g. `rtagger:0123456789ab`.
        notes: small facts for the sidecar, such as the kernel.
        margin: how far a score may move with the images computed at the same time; scores are written down to
            this much below the floor, so that the threshold of `select` decides, not a batch.
    """

    name: str
    notes: Mapping[str, object] = field(default_factory=dict)
    margin: float = 0.0


class Tagger(Protocol[P]):
    """A model that scores relations. Its constructor takes the options by keyword and loads nothing."""

    version: int
    """Raise it when the same candidates would get other scores."""
    neutral_options: tuple[str, ...]
    """Options that decide nothing, such as the device: a run continues when one changes."""

    def files(self) -> Sequence[str]:
        """Paths of the files that decide the scores; callable before `load`.

        Raises:
            FileNotFoundError: a model is neither here nor on the hub.
        """
        ...

    def load(self, floor: float) -> LoadedTagger:
        """Load the model; called once per worker, before anything below.

        Args:
            floor: scores not above it are not written.
        """
        ...

    def prepare(self, pixels: NDArray[np.uint8]) -> P:
        """Make of H x W x 3 pixels what `tag` needs; called in the thread that decodes."""
        ...

    def fits(self, predicate: str) -> bool:
        """Whether the model can read a text of this length."""
        ...

    def tag(self, images: Iterable[ImageCandidates[P]]) -> Iterable[Scores | Failure]:
        """Score the candidates of every image of a stream, however many images at a time.

        Yields:
            One result per image, in any order.
        """
        ...

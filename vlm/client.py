"""What is asked of a vision-language model and what it answers, whoever the model is run by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class View:
    """An image as it is shown to the model.

    Args:
        pixels: H x W x 3 uint8, drawn, cropped and resized.
        source_hash: sha256 of the bytes of the image file.
        recipe: what was made of it (view, boxes, margin, pixels, version of the drawing), JSON-able. Source
            hash and recipe stand for the pixels in the key of an answer: JPEG encoders differ, these do not.
    """

    pixels: NDArray[np.uint8]
    source_hash: str
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Sampling:
    """How an answer is sampled; all of it decides the answer.

    Args:
        temperature: 0: the likeliest token each time.
        top_p: of the nucleus.
        max_tokens: of the answer.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 64


@dataclass(frozen=True)
class Request:
    """One question about one image.

    Args:
        image_id: as in the `images` table.
        request_id: unique among the requests of an image in a stage, equal in every run, e.g. `3-7-riding-0`.
        role: `caption`, `caption_pair`, `propose` or `judge`.
        views: shown before the text, in this order.
        text: the question.
        system: a system message; empty: none.
        sampling: how it is sampled.
        sample: index of the sample; n samples are n requests.
        words: of a judge, the words whose probabilities are asked for, e.g. ("Yes", "yes", "No", "no"), each
            a single token; empty: none are asked for.
        schema: JSON schema that the answer has to follow; None: free text.
        facts: columns of the `answers` table that the stage knows: subject_box, object_box, predicate.
    """

    image_id: str
    request_id: str
    role: str
    views: Sequence[View]
    text: str
    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    sample: int = 0
    words: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Usage(NamedTuple):
    """Tokens that the server counted."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Answer:
    """What came back, whole, or why nothing did.

    Args:
        text: raw.
        finish_reason: `stop`, `length`, `content_filter`, ... as the server said it.
        logprob: sum over the tokens of the text; None where it was not said.
        words: word -> probability, of the first token, for the `words` that were asked for; empty where none
            were or the server does not say.
        usage: tokens, where they were counted.
        model_reported: name of the model that answered, as it says.
        verdict: `ok`, or a reason code (`request_refused`, `too_long`, `server_error`, `refused`,
            `truncated`): the image is set aside under it.
        detail: one sentence for a verdict that is not `ok`; never a body of a request or a response.
    """

    text: str
    finish_reason: str = "stop"
    logprob: float | None = None
    words: Mapping[str, float] = field(default_factory=dict)
    usage: Usage | None = None
    model_reported: str = ""
    verdict: str = "ok"
    detail: str = ""


class Client(Protocol):
    """A model that answers, in this process or behind an endpoint; the constructor loads nothing."""

    def files(self) -> Sequence[str]:
        """Paths of files that decide the answers; callable before `setup`."""
        ...

    def setup(self) -> None:
        """Load the model, or look what the server really honours; called once per worker.

        Raises:
            VlmError: the model cannot do what its options ask for; the message names host, option and fix.
        """
        ...

    def notes(self) -> Mapping[str, Any]:
        """What `setup` found, for the sidecar (how JSON is enforced, ...): the same in every run over
        the same answers, so no host, time or count."""
        ...

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        """Answer a stream of requests, in any order; reads no further ahead than it has to.

        Raises:
            ConnectionError: the server did not answer for too long; the shard is tried again later.
            VlmError: no request will be answered (no key, no such model).
        """
        ...


class VlmError(ValueError):
    """A defect of options, key or model in one sentence: nothing will be answered until it is put right."""

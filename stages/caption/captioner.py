"""What a captioner is: images in, captions out. The stage around it reads images and keeps the account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Image(NamedTuple):
    """An image to caption.

    Args:
        image_id: as in the `images` table.
        random_key: 64 bits, signed, made of (run seed, image_id): what a sampler draws from, so that captions
            depend neither on the batch nor on the order of the images.
        pixels: 3 x H x W uint8.
    """

    image_id: str
    random_key: int
    pixels: Tensor


class Caption(NamedTuple):
    """A caption, prompt removed.

    Args:
        text: the words.
        logprob: natural log-probability under the model, where it is known.
    """

    text: str
    logprob: float | None = None


@dataclass(frozen=True)
class LoadedCaptioner:
    """What the stage needs of a captioner, available once it is loaded.

    Args:
        source: model id, for the `source` column.
        image_size: pixels of the square that images are resized to, aspect ratio given up as BLIP's own
            transform does; None: images come as they are.
        prompt: words that every caption starts with; one that repeats them is counted as `prompt_echo`.
        notes: small facts for the sidecar, such as the device.
    """

    source: str
    image_size: int | None = None
    prompt: str = ""
    notes: Mapping[str, object] = field(default_factory=dict)


class Captioner(Protocol):
    """A model that captions images. Its constructor takes the options by keyword and loads nothing."""

    @property
    def version(self) -> int:
        """Raise it when the same images would get other captions; a class attribute does."""
        ...

    @property
    def neutral_options(self) -> tuple[str, ...]:
        """Options that no caption depends on; a class attribute does. `device` is one of them, as `auto`
        means another on another machine; `dtype` and whatever else changes bits on one machine is not."""
        ...

    def files(self) -> Sequence[str]:
        """Paths of the files that decide the captions; callable before `load`.

        Raises:
            FileNotFoundError: a model is neither here nor on the hub.
        """
        ...

    def load(self) -> LoadedCaptioner:
        """Load the model; called once per worker, before the first `caption`."""
        ...

    def caption(self, images: Iterable[Image]) -> Iterable[tuple[str, Sequence[Caption]]]:
        """Caption every image of a stream, however many at a time.

        Yields:
            (image_id, captions in sample order) once per image, in any order.
        """
        ...


def caption_each(
    images: Iterable[Image], write: Callable[[Tensor], Iterable[str]]
) -> Iterator[tuple[str, list[Caption]]]:
    """Caption one image at a time, with torch's generators seeded by its random key.

    Args:
        write: 3 x H x W uint8 pixels to captions.
    """
    import torch

    from relforge.models.gpu import exact_arithmetic

    for image in images:
        torch.manual_seed(image.random_key)
        with torch.inference_mode(), exact_arithmetic(torch.float32):  # not while the caller has its turn
            captions = [Caption(text) for text in write(image.pixels)]
        yield image.image_id, captions


def check_sampling(mode: str, captions: int) -> None:
    """Refuse impossible options when the stage is built, not on a worker after the weights are loaded.

    Args:
        mode: `nucleus` (sampled, `captions` per image) or `beam` (the likeliest one).
        captions: per image.

    Raises:
        ValueError: naming the option and what it may be.
    """
    if mode not in ("nucleus", "beam"):
        raise ValueError(f"mode is {mode!r}; choose nucleus or beam")
    if captions < 1:
        raise ValueError(f"captions is {captions}; it must be 1 or more")

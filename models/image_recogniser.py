"""What shared code needs of a model that labels whole images with interactions."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class ImageRecogniser(Protocol):
    """A model whose family has `targets="images"` and whose `forward` returns logits B x C."""

    @property
    def image_size(self) -> int:
        """Side of the square that images are resized to, pixels."""

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel that images are normalised with."""

    def start_from(self, backbone: str | None, rows: Tensor | None) -> None:
        """Take over a pre-trained backbone, by folder, hub name or file, and C x D classifier rows.

        Raises:
            FileNotFoundError, ValueError: they are not there, or do not fit.
        """

    def pair_logits(
        self, images: Tensor, boxes: Tensor, rows: Tensor, *, mask: str = "intended", layers: int = 1
    ) -> Tensor:
        """Logits P x C of pairs of boxes, P x 2 x 4 xyxy in pixels of the square, of images B x 3 x S x S;
        `rows` are the pairs' images, `mask` and `layers` say how and where the rest of an image is hidden."""


def image_recogniser(model: nn.Module, kind: str) -> ImageRecogniser:
    """The model as one that labels whole images.

    Raises:
        ValueError: it does not.
    """
    if not isinstance(model, ImageRecogniser):
        raise ValueError(f"a {kind} model does not label whole images; use one of the kind defr")
    return model

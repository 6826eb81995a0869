"""Label texts that the batches of a step share: encoded once, with the gradient of all of them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from relforge.models.blocks.prediction import Labels


class EncodesLabels(Protocol):
    """A model that reads texts."""

    def encode_labels(self, labels: Labels) -> Labels:
        """The labels with their vectors."""


class SharedTexts:
    """The vectors of one list of labels within a step.

    The batches of the step see them as an input of their own, whose gradient adds up; at the end it goes
    through the text encoder once.
    """

    def __init__(self) -> None:
        self._labels: Labels | None = None
        self._encoded: Tensor | None = None

    def encode(self, model: nn.Module, labels: Labels) -> Labels:
        """The labels with vectors, T x width float32; those of the step's first batch where they have any.

        Raises:
            ValueError: other labels than the first batch of the step has.
        """
        if self._labels is None:
            encoder: EncodesLabels = model
            self._encoded = encoder.encode_labels(labels).features
            assert self._encoded is not None
            features = self._encoded.detach().float().requires_grad_(self._encoded.requires_grad)
            self._labels = Labels(labels.objects, labels.relations, features)
        elif (self._labels.objects, self._labels.relations) != (labels.objects, labels.relations):
            raise ValueError("the batches of a step have other labels: their texts cannot be shared")
        return self._labels

    def end_step(self) -> None:
        """Send the step's gradient through the text encoder, and forget the vectors."""
        labels, encoded, self._labels, self._encoded = self._labels, self._encoded, None, None
        if labels is None or encoded is None or labels.features is None or labels.features.grad is None:
            return
        encoded.backward(labels.features.grad.to(encoded.dtype))

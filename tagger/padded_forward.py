"""The forward pass of padded batches in few fixed shapes, which a GPU can replay as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.gpu import upload
from relforge.models.graph_cache import GraphCache
from relforge.tagger.image_batch import exact_size, normalise_padded, padded_size, stack_rows
from relforge.tagger.packing import Layout, Pair, pad_requests
from relforge.tagger.pair_model import PairModel
from relforge.tagger.predictions import values_of
from relforge.tagger.request import Request
from relforge.tagger.started import Call

MAX_GRAPHS = 96
"""Shapes whose graphs are kept: those of COCO's frequent sizes with one to four decoder batches."""


class Shape(NamedTuple):
    """What decides all shapes of a forward pass.

    Args:
        images: of the batch.
        height, width: of an image, padded.
        labels: columns of labels; the first `objects` of them are of objects.
        objects: see `labels`.
        decoder_batches: of each image.
        at_once: decoder batches of an image that are computed in one call.
        pairs: queries of a decoder batch.
    """

    images: int
    height: int
    width: int
    labels: int
    objects: int
    decoder_batches: int
    at_once: int
    pairs: int


def power_of_two(number: int) -> int:
    """The least power of two that is at least the number, and 1."""
    return 1 << max(0, number - 1).bit_length()


def fill_up(batch: Sequence[Request], batch_size: int) -> list[Request]:
    """The images and copies of the first one, as many as a power of two or a full batch: few sizes remain."""
    count = max(len(batch), min(power_of_two(len(batch)), batch_size))
    return [*batch, *[batch[0]] * (count - len(batch))]


class PaddedForward:
    """Scores of a padded batch in one vector.

    All that the host decides goes to the GPU in two copies; then the pass draws on memory of the GPU alone.

    Args:
        model: on the device.
        device: where it is.
        precision: the arithmetic. It is entered within the pass: what autocast keeps while it lasts must not
            be read by a graph later.
        decoder_batches: computed in one call at most, over all images.
        graphs: replay a shape that comes again as a CUDA graph.
    """

    def __init__(
        self,
        model: PairModel,
        device: torch.device,
        precision: Callable[[], AbstractContextManager[None]],
        decoder_batches: int,
        graphs: bool,
    ) -> None:
        self.model, self.device, self.precision = model, device, precision
        self.decoder_batches = decoder_batches
        self.graphs = GraphCache(self.forward, device, MAX_GRAPHS) if graphs else None

    def start(
        self, filled: Sequence[Request], layout: Layout, pairs: Sequence[Sequence[Sequence[Pair]]]
    ) -> tuple[Tensor, list[Call]]:
        """Start the pass of a batch.

        Args:
            filled: see `fill_up`.
            layout: labels of each, with padding.
            pairs: decoder batches of each.

        Returns:
            the values of every call, one after the other (see `Computed`), and the calls.
        """
        shape = self._shape(filled, layout, pairs)
        inputs = self._inputs(filled, layout, pairs, shape)
        values = self.forward(shape, inputs) if self.graphs is None else self.graphs(shape, inputs)
        texts = shape.labels - shape.objects
        starts = range(0, shape.decoder_batches, shape.at_once)
        return values, [Call(first, shape.at_once, shape.pairs, texts, shape.images) for first in starts]

    def release(self, reason: str) -> None:
        """Give the graphs' memory back."""
        if self.graphs is not None:
            self.graphs.release(reason)

    def forward(self, shape: Shape, inputs: Sequence[Tensor]) -> Tensor:
        """The pass itself: waits for nothing and copies nothing from the host.

        Args:
            inputs: see `_inputs`; those that are on the device already are read where they are.
        """
        pixels, features, sizes, label_padding, *given = (
            one.to(self.device, non_blocking=True) for one in inputs
        )
        values: list[Tensor] = []
        with self.precision():
            images, padding = normalise_padded(pixels, sizes)
            memory = self.model.encode(images, features, padding, label_padding)
            for first in range(0, shape.decoder_batches, shape.at_once):
                boxes, labels, mask = (
                    one.unflatten(0, (shape.images, -1))[:, first : first + shape.at_once].flatten(0, 1)
                    for one in given
                )  # images * at_once x 2 * pairs x ...
                batch = PairBatch(boxes, labels, mask)
                prediction = self.model.decode(memory, shape.objects, batch, last_only=True)[-1]
                values += values_of(prediction, label_padding[:, : shape.objects])
        return torch.cat(values)

    def _shape(
        self, filled: Sequence[Request], layout: Layout, pairs: Sequence[Sequence[Sequence[Pair]]]
    ) -> Shape:
        count = power_of_two(max(len(own) for own in pairs))
        at_once = max(1, self.decoder_batches // len(filled))
        at_once = min(count, 1 << at_once.bit_length() - 1)  # a power of two as well: calls are alike
        size, labels = padded_size(filled[0]), layout.features.shape[1]
        return Shape(len(filled), *size, labels, layout.objects, count, at_once, self.model.max_pairs)

    def _inputs(
        self,
        filled: Sequence[Request],
        layout: Layout,
        pairs: Sequence[Sequence[Sequence[Pair]]],
        shape: Shape,
    ) -> list[Tensor]:
        """Pixels (pinned on the host), label features, sizes and label padding of the images, and boxes,
        labels and padding of their pairs."""
        given = pad_requests(filled, pairs, shape.decoder_batches, shape.pairs)
        sizes = torch.tensor([exact_size(request) for request in filled])
        pixels = stack_rows(filled, (shape.height, shape.width), pinned=self.device.type == "cuda")
        assert layout.padding is not None  # labels of a GPU are always padded
        small = upload(self.device, sizes, given.boxes, given.labels, given.key_padding_mask)
        return [pixels, layout.features, small[0], layout.padding, *small[1:]]

"""Batches of images that are labelled as a whole; functions of (seed, step, rank) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from relforge.data.image_labels import ImageLabels
from relforge.data.image_loading import Statistics, normalise_squares, read_pixels, stack_squares
from relforge.data.order import Order, compute_ahead
from relforge.data.to_device import move_together
from relforge.images.resize import resize
from relforge.models.image_recogniser import ImageRecogniser
from relforge.models.training.image_targets import ImageTargets
from relforge.stages.image_labels.table import POSITIVE


@dataclass(frozen=True)
class ImageLabelBatch:
    """One step's input.

    Args:
        images: B x 3 x S x S: uint8 pixels, until `to` brings them to the device and normalises them there.
        image_targets: B, whose `interactions` alone are filled.
        statistics: mean and deviation per channel that the model wants.
    """

    images: Tensor
    image_targets: list[ImageTargets]
    statistics: Statistics

    def to(self, device: torch.device) -> ImageLabelBatch:
        """The batch as a model takes it, on that device."""
        images = self.images.to(device, non_blocking=True)
        if images.dtype == torch.uint8:
            images = normalise_squares(images, self.statistics)
        (targets,) = move_together(device, self.image_targets)
        return replace(self, images=images, image_targets=targets)


@dataclass(frozen=True)
class ImageBatchOptions:
    """How batches are made; the published values are the defaults.

    Args:
        size: images per process and step.
        mirror: probability of mirroring; interactions have no sides.
        crop: smallest share of the area of a random crop; 1: none.
        ratio: bound of the crop's aspect ratio, as drawn from [0.7, 1.3].
        jitter: largest relative change of brightness and of contrast.
        balance: positives per interaction that images are repeated for, at most 40 times; 0: none.
    """

    size: int = 16
    mirror: float = 0.5
    crop: float = 0.7
    ratio: tuple[float, float] = (0.7, 1.3)
    jitter: float = 0.4
    balance: int = 40


class ImageLabelBatches:
    """Endless shuffled batches.

    Args:
        data: labelled images.
        targets, weights: N x C float32: 1 where an interaction is positive; how much it counts.
        options: how batches are made.
        model: says size and normalisation.
        seed, rank, world_size: see `Order`.
        threads: that decode images ahead.
        pinned: make batches in memory from which a GPU copies by itself.
    """

    def __init__(
        self,
        data: ImageLabels,
        targets: np.ndarray,
        weights: np.ndarray,
        options: ImageBatchOptions,
        model: ImageRecogniser,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        pinned: bool = False,
    ) -> None:
        self._pinned = pinned
        self.rows = repeated_rows(targets, options.balance)
        self._order = Order(len(self.rows), options.size, seed, rank, world_size)
        self._data, self._options, self._threads = data, options, threads
        self._targets, self._weights, self._model = targets, weights, model

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return self._order.steps_per_epoch

    def from_step(self, start: int) -> Iterator[ImageLabelBatch]:
        """Batches `start`, `start + 1`, ..."""
        return compute_ahead(self.at, start, self._threads)

    def at(self, step: int) -> ImageLabelBatch:
        """The batch of that step."""
        rng = self._order.random_generator(step)
        images, targets = [], []
        none = torch.zeros(0)
        for place in self._order.examples(step):
            row = int(self.rows[place])
            images.append(self._load(row, rng))
            of_image = (torch.from_numpy(values[row]) for values in (self._targets, self._weights))
            targets.append(ImageTargets(none, none, *of_image))
        return ImageLabelBatch(stack_squares(images, pinned=self._pinned), targets, self._model.statistics)

    def _load(self, row: int, rng: np.random.Generator) -> Tensor:
        """3 x S x S uint8 of one image: cropped, mirrored, resized, its light changed."""
        options = self._options
        pixels = read_pixels(self._data, row)
        if options.crop < 1:
            pixels = crop(pixels, options.crop, options.ratio, rng)
        if rng.random() < options.mirror:
            pixels = pixels[:, ::-1]
        side = self._model.image_size
        square = resize(np.ascontiguousarray(pixels), side, side, "bicubic")
        brightness, contrast = 1 + options.jitter * rng.uniform(-1, 1, 2)
        if not options.jitter:
            return square
        light = square.float() * brightness
        mean = light.mean()
        return ((light - mean) * contrast + mean).clamp(0, 255).round().byte()


def crop(
    pixels: np.ndarray, smallest: float, ratio: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """A random part of H x W x 3 pixels, of at least that share of the area."""
    height, width = pixels.shape[:2]
    area = height * width * rng.uniform(smallest, 1)
    aspect = np.exp(rng.uniform(*np.log(ratio)))
    h = int(np.clip(round(np.sqrt(area / aspect)), 1, height))
    w = int(np.clip(round(np.sqrt(area * aspect)), 1, width))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    return pixels[y : y + h, x : x + w]


def repeated_rows(targets: np.ndarray, balance: int, most: int = 40) -> np.ndarray:
    """Rows of an epoch: images of rare interactions are repeated, so that each has about `balance` positives.

    As the release has it: an interaction of n positives asks for ceil(balance / n) - 1 more, at most `most`;
    an image is repeated by the most that one of its interactions asks for, where that is more than one.
    """
    positives = targets == POSITIVE
    counts = positives.sum(0)
    asked = np.clip(np.ceil(balance / np.maximum(counts, 1)) - 1, 0, most).astype(int)
    more = np.where(positives, asked, 0).max(1)
    return np.repeat(np.arange(len(targets)), 1 + np.where(more > 1, more, 0))

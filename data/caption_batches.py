"""Batches of captioned images that depend on (seed, step, rank) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BertTokenizer

from relforge.data.captions import CaptionData, CaptionedImage
from relforge.data.image_loading import stack_squares
from relforge.data.order import Order, compute_ahead
from relforge.data.to_device import move_together
from relforge.images import decode, decode_as_annotated, read
from relforge.images.resize import normalise, resize
from relforge.models.blip.checkpoint import CLIP_MEAN, CLIP_STD


@dataclass(frozen=True)
class CaptionBatch:
    """One step's input. An image's captions are concatenated in one row, so that the image is encoded, and
    its keys and values computed, once.

    Args:
        images: B x 3 x S x S: uint8 pixels, until `to` brings them to the device and normalises them there.
        ids: B x L tokens, each caption from [DEC] to [SEP]; positions: B x L within its caption.
        caption: B x L number of the caption a token belongs to; -1: padding.
        patches: B x P x C: 1 where a box of the class covers the patch; None without boxes.
    """

    images: Tensor
    ids: Tensor
    positions: Tensor
    caption: Tensor
    patches: Tensor | None

    def to(self, device: torch.device) -> CaptionBatch:
        """The batch as a model takes it, on that device."""
        images = self.images.to(device, non_blocking=True)
        if images.dtype == torch.uint8:
            images = normalise(images, CLIP_MEAN, CLIP_STD)
        (rest,) = move_together(device, [self.ids, self.positions, self.caption, self.patches])
        return CaptionBatch(images, *rest)


@dataclass(frozen=True)
class CaptionOptions:
    """How batches are made.

    Args:
        size: images per process and step.
        captions: per image, drawn anew in every epoch.
        mirror: probability of mirroring; 0 where captions use left and right.
    """

    size: int = 32
    captions: int = 5
    mirror: float = 0.5


class CaptionBatches:
    """Endless shuffled batches.

    Args:
        data: the training set.
        tokenizer: from `build_word_tokenizer`.
        options: how batches are made.
        side: images are resized to a square of so many pixels, as BLIP does.
        grid: patches per side.
        max_length: tokens of a caption; longer ones are truncated.
        seed, rank, world_size: see `Order`.
        threads: that decode images ahead.
        pinned: make batches in memory from which a GPU copies by itself.
    """

    def __init__(
        self,
        data: CaptionData,
        tokenizer: BertTokenizer,
        options: CaptionOptions,
        *,
        side: int,
        grid: int,
        max_length: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        threads: int = 1,
        pinned: bool = False,
    ) -> None:
        self._pinned = pinned
        self._order = Order(len(data.images), options.size, seed, rank, world_size)
        self._data, self._options, self._threads = data, options, threads
        self._side, self._grid = side, grid
        end, start = tokenizer.sep_token_id, tokenizer.bos_token_id
        ids_of = [tokenizer(image.captions, add_special_tokens=False)["input_ids"] for image in data.images]
        self._tokens = [[[start, *ids[: max_length - 2], end] for ids in own] for own in ids_of]
        self._pad = int(tokenizer.pad_token_id)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return self._order.steps_per_epoch

    def from_step(self, start: int) -> Iterator[CaptionBatch]:
        """Batches `start`, `start + 1`, ..."""
        return compute_ahead(self.at, start, self._threads)

    def at(self, step: int) -> CaptionBatch:
        """The batch of that step."""
        rng, options = self._order.random_generator(step), self._options
        pixels, rows, grids = [], [], []
        for index in self._order.examples(step):
            image, mirror = self._data.images[index], bool(rng.random() < options.mirror)
            data = read(str(image.file))
            boxes = self._data.classes and len(image.boxes)
            decoded = decode_as_annotated(data, image.size).pixels if boxes else decode(data)
            resized = resize(decoded, self._side, self._side, "bicubic")
            pixels.append(resized.flip(2) if mirror else resized)
            captions = self._tokens[index]
            rows.append([captions[i] for i in rng.permutation(len(captions))[: options.captions]])
            if self._data.classes:
                covered = _classes_of_patches(image, self._grid, len(self._data.classes))
                grids.append(covered.flip(1) if mirror else covered)
        images = stack_squares(pixels, pinned=self._pinned)
        patches = torch.stack(grids).flatten(1, 2) if grids else None
        return CaptionBatch(images, *_concatenate(rows, self._pad), patches)


def _concatenate(rows: list[list[list[int]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """`ids`, `positions` and `caption` of a `CaptionBatch`."""
    length = max(sum(map(len, row)) for row in rows)
    ids, positions = torch.full((len(rows), length), pad), torch.zeros(len(rows), length, dtype=torch.long)
    caption = torch.full((len(rows), length), -1)
    for i, row in enumerate(rows):
        at = 0
        for number, tokens in enumerate(row):
            stop = at + len(tokens)
            ids[i, at:stop] = torch.tensor(tokens)
            positions[i, at:stop] = torch.arange(len(tokens))
            caption[i, at:stop] = number
            at = stop
    return ids, positions, caption


def _classes_of_patches(image: CaptionedImage, grid: int, classes: int) -> Tensor:
    """grid x grid x classes: 1 where a box of the class covers the patch's centre or is centred in it."""
    covered = torch.zeros(grid, grid, classes)
    for (x, y, w, h), code in zip(image.boxes * grid, image.classes, strict=True):
        top, bottom = round(y), max(round(y + h), round(y) + 1)
        left, right = round(x), max(round(x + w), round(x) + 1)
        covered[top:bottom, left:right, code] = 1
        covered[min(int(y + h / 2), grid - 1), min(int(x + w / 2), grid - 1), code] = 1
    return covered

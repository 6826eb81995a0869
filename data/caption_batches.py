"""Batches of captioned pictures that depend on (seed, step, rank) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relforge.data.captions import CaptionData, Captioned
from relforge.data.order import Order, ahead
from relforge.images import decode, read
from relforge.images.resize import normalise, resize
from relforge.models.blip.checkpoint import CLIP_MEAN, CLIP_STD


@dataclass(frozen=True)
class CaptionBatch:
    """One step's input. A picture's captions stand behind one another in one row, so that the picture is
    encoded, and its keys and values computed, once.

    Args:
        images: B x 3 x S x S normalised.
        ids: B x L tokens, each caption from [DEC] to [SEP]; positions: B x L within its caption.
        caption: B x L number of the caption a token belongs to; -1: padding.
        patches: B x P x C: 1 where the patch shows the class; None without boxes.
    """

    images: Tensor
    ids: Tensor
    positions: Tensor
    caption: Tensor
    patches: Tensor | None

    def to(self, device: torch.device) -> CaptionBatch:
        """The same batch on that device."""
        patches = None if self.patches is None else self.patches.to(device)
        return CaptionBatch(
            self.images.to(device),
            self.ids.to(device),
            self.positions.to(device),
            self.caption.to(device),
            patches,
        )


@dataclass(frozen=True)
class CaptionOptions:
    """How batches are made.

    Args:
        size: pictures per process and step.
        captions: of each picture, drawn each time.
        mirror: probability of mirroring; 0 where captions tell left from right.
    """

    size: int = 32
    captions: int = 5
    mirror: float = 0.5


class CaptionBatches:
    """Endless shuffled batches.

    Args:
        data: the training set.
        tokenizer: from `words_tokenizer`.
        options: how batches are made.
        side: pixels of the square that pictures are squashed to, as BLIP does; grid: patches a side.
        longest: tokens of a caption; the rest of a longer one is cut off.
        seed, rank, world: see `Order`.
        threads: that decode pictures ahead.
    """

    def __init__(
        self,
        data: CaptionData,
        tokenizer: Any,
        options: CaptionOptions,
        *,
        side: int,
        grid: int,
        longest: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        threads: int = 1,
    ) -> None:
        self._order = Order(len(data.pictures), options.size, seed, rank, world)
        self._data, self._options, self._threads = data, options, threads
        self._side, self._grid = side, grid
        end, start = tokenizer.sep_token_id, tokenizer.bos_token_id
        words = [tokenizer(p.captions, add_special_tokens=False)["input_ids"] for p in data.pictures]
        self._tokens = [[[start, *ids[: longest - 2], end] for ids in several] for several in words]
        self._pad = int(tokenizer.pad_token_id)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return self._order.steps_per_epoch

    def from_step(self, start: int) -> Iterator[CaptionBatch]:
        """Batches `start`, `start + 1`, ..."""
        return ahead(self.at, start, self._threads)

    def at(self, step: int) -> CaptionBatch:
        """The batch of that step."""
        rng, options = self._order.draws(step), self._options
        pictures, rows, grids = [], [], []
        for index in self._order.examples(step):
            picture, mirror = self._data.pictures[index], bool(rng.random() < options.mirror)
            pixels = resize(decode(read(str(picture.file), None)), self._side, self._side, "bicubic")
            pictures.append(pixels.flip(2) if mirror else pixels)
            captions = self._tokens[index]
            rows.append([captions[i] for i in rng.permutation(len(captions))[: options.captions]])
            if self._data.classes:
                shown = shown_in_patches(picture, self._grid, len(self._data.classes))
                grids.append(shown.flip(1) if mirror else shown)
        images = normalise(torch.stack(pictures), CLIP_MEAN, CLIP_STD)
        patches = torch.stack(grids).flatten(1, 2) if grids else None
        return CaptionBatch(images, *_packed(rows, self._pad), patches)


def _packed(rows: list[list[list[int]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
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


def shown_in_patches(picture: Captioned, grid: int, classes: int) -> Tensor:
    """grid x grid x classes: 1 where a box of the class covers the patch's centre or is centred in it."""
    shown = torch.zeros(grid, grid, classes)
    for (x, y, w, h), kind in zip(picture.boxes * grid, picture.kinds, strict=True):
        top, bottom = round(y), max(round(y + h), round(y) + 1)
        left, right = round(x), max(round(x + w), round(x) + 1)
        shown[top:bottom, left:right, kind] = 1
        shown[min(int(y + h / 2), grid - 1), min(int(x + w / 2), grid - 1), kind] = 1
    return shown

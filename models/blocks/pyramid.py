"""Backbone maps to one sequence of tokens over four levels (Deformable DETR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.position import pixel_encoding


@dataclass
class Tokens:
    """The pixels of all levels, finest level first.

    Args:
        values: B x S x dim.
        positions: B x S x dim, sine encoding plus level embedding.
        shapes: (height, width) of each level; S is the sum of their products.
        padding: B x S, True where padded; None when nothing is.
        valid_ratios: B x L x 2, (x, y) share of each level that is not padding.
    """

    values: Tensor
    positions: Tensor
    shapes: list[tuple[int, int]]
    padding: Tensor | None
    valid_ratios: Tensor


class Pyramid(nn.Module):
    """Projects each map to the model's width and adds one coarser level.

    Args:
        channels: channels of the backbone maps.
        dim: width of the model; a multiple of 32, the number of norm groups.
        levels: number of levels; those beyond the backbone's are stride-2 convolutions of its last map.
        centred: positions are those of pixel centres, see `pixel_encoding`.
    """

    def __init__(self, channels: Sequence[int], dim: int, levels: int = 4, *, centred: bool = False) -> None:
        super().__init__()
        self.centred = centred
        projections = [nn.Sequential(nn.Conv2d(c, dim, 1), nn.GroupNorm(32, dim)) for c in channels]
        previous = channels[-1]
        for _ in range(levels - len(channels)):
            coarser = nn.Conv2d(previous, dim, 3, stride=2, padding=1)
            projections.append(nn.Sequential(coarser, nn.GroupNorm(32, dim)))
            previous = dim
        self.projections = nn.ModuleList(projections)
        self.level_embed = nn.Parameter(torch.randn(levels, dim))
        for projection in projections:
            nn.init.xavier_uniform_(projection[0].weight)
            nn.init.zeros_(projection[0].bias)

    def forward(self, maps: list[Tensor], padding: Tensor | None) -> Tokens:
        """Maps of the backbone (B x C_i x H_i x W_i) and the images' padding (B x H x W) to tokens."""
        levels = [projection(m) for projection, m in zip(self.projections[: len(maps)], maps, strict=True)]
        last = maps[-1]
        for projection in self.projections[len(maps) :]:
            last = projection(last)
            levels.append(last)
        shapes = [(int(level.shape[2]), int(level.shape[3])) for level in levels]
        masks = [_shrink(padding, level) for level in levels]
        positions = [
            self._encode(mask, level) + embed
            for mask, level, embed in zip(masks, levels, self.level_embed, strict=True)
        ]
        return Tokens(
            values=torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1),
            positions=torch.cat(positions, 1),
            shapes=shapes,
            padding=None if padding is None else torch.cat([mask.flatten(1) for mask in masks], 1),
            valid_ratios=torch.stack([valid_ratio(mask) for mask in masks], 1),
        )

    def _encode(self, mask: Tensor, level: Tensor) -> Tensor:
        """Sine encoding B x HW x dim of a level's pixels."""
        encoding = pixel_encoding(mask, level.shape[1], centred=self.centred)
        return encoding.to(level.dtype).flatten(2).transpose(1, 2)


def _shrink(padding: Tensor | None, level: Tensor) -> Tensor:
    """The images' padding at the size of a level, B x H_i x W_i."""
    batch, _, height, width = level.shape
    if padding is None:
        return torch.zeros(batch, height, width, dtype=torch.bool, device=level.device)
    return F.interpolate(padding[:, None].float(), size=(height, width))[:, 0].bool()


def valid_ratio(mask: Tensor) -> Tensor:
    """(x, y) share of B x H x W that is not padding, B x 2."""
    height, width = mask.shape[1:]
    x = (~mask[:, 0, :]).sum(1) / width
    y = (~mask[:, :, 0]).sum(1) / height
    return torch.stack([x, y], -1)

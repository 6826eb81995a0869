"""The backbone's last map as one sequence of tokens (DETR)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.position import pixel_encoding


@dataclass
class TokenSequence:
    """What a DETR's encoder reads, and with other values what its decoders attend to.

    Args:
        values: B x S x dim, pixels row by row; texts may follow.
        positions: B x S x dim, zero for texts.
        padding: B x S, True where padded; None when nothing is.
    """

    values: Tensor
    positions: Tensor
    padding: Tensor | None

    @cached_property
    def keys(self) -> Tensor:
        """B x S x dim: values and positions, computed once for all layers of all decoders."""
        return self.values + self.positions


class SingleScale(nn.Module):
    """Projects the last map to the model's width.

    Args:
        channels: of the map.
        dim: width of the model.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, dim, 1)

    def forward(self, last: Tensor, padding: Tensor | None) -> TokenSequence:
        """The map B x C x h x w and the images' padding B x H x W to tokens, S = h * w."""
        values = self.projection(last)  # B x dim x h x w
        batch, dim, height, width = values.shape
        if padding is None:
            mask = values.new_zeros(batch, height, width).bool()
        else:
            mask = F.interpolate(padding[:, None].float(), size=(height, width))[:, 0].bool()
        positions = pixel_encoding(mask, dim).to(values.dtype)
        return TokenSequence(
            values=values.flatten(2).transpose(1, 2),
            positions=positions.flatten(2).transpose(1, 2),
            padding=None if padding is None else mask.flatten(1),
        )

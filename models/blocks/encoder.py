"""Deformable encoders: of pixels alone, or with language fusion before every N_v-th layer (RLIPv2, §4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from relforge.kernels.msda.module import MSDeformAttn
from relforge.models.blocks.memory_saving import Dropout
from relforge.models.blocks.position import encoder_reference_points
from relforge.models.blocks.pyramid import Tokens


class EncoderLayer(nn.Module):
    """Deformable self-attention over pixels and a feed-forward, post-norm.

    Args:
        dim: width of the model.
        heads: attention heads.
        feedforward: hidden width.
        dropout: after each part.
        levels: feature levels.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float, levels: int) -> None:
        super().__init__()
        self.self_attn = MSDeformAttn(dim, levels, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, references: Tensor, tokens: Tokens) -> Tensor:
        """Pixels B x S x dim with reference points B x S x L x 2 -> B x S x dim."""
        mixed = self.self_attn(values + tokens.positions, references, values, tokens.shapes, tokens.padding)
        values = self.norm1(values + self.dropout(mixed))
        hidden = self.linear2(self.dropout.after_relu(self.linear1(values)))
        return self.norm2(values + self.dropout(hidden))


def encoder_layers(
    count: int, dim: int, heads: int, feedforward: int, dropout: float, levels: int
) -> list[EncoderLayer]:
    """Layers of one encoder; the arguments are those of `EncoderLayer`."""
    return [EncoderLayer(dim, heads, feedforward, dropout, levels) for _ in range(count)]


class Encoder(nn.Module):
    """Pixels alone (Deformable DETR).

    Args:
        layers: deformable layers.
    """

    def __init__(self, layers: Sequence[EncoderLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, tokens: Tokens) -> Tensor:
        """Memory B x S x dim."""
        values = tokens.values
        references = encoder_reference_points(tokens.shapes, tokens.valid_ratios)
        for layer in self.layers:
            values = layer(values, references, tokens)
        return values


class FusionEncoder(nn.Module):
    """Pixels and labels, encoded jointly.

    Each fusion attends both ways between the labels and the coarsest level only, runs one language layer
    on the labels and leaves the pixels to the next `interval` deformable layers (N_v; the number of
    fusions is N_ALIF = layers / N_v).

    Args:
        layers: deformable layers.
        fusions: fusion blocks.
        language_layers: one per fusion.
        mask_fusion: keep padded pixels and padded labels out of the fusion. The published code attends to
            them by mistake (docs/method.md, "Language fusion"); without padding both are the same.
    """

    def __init__(
        self,
        layers: Sequence[EncoderLayer],
        fusions: Sequence[nn.Module],
        language_layers: Sequence[nn.Module],
        *,
        mask_fusion: bool = True,
    ) -> None:
        super().__init__()
        if not fusions or len(layers) % len(fusions) or len(fusions) != len(language_layers):
            raise ValueError(
                f"{len(layers)} encoder layers do not divide into {len(fusions)} fusions with "
                f"{len(language_layers)} language layers"
            )
        self.layers = nn.ModuleList(layers)
        self.fusions = nn.ModuleList(fusions)
        self.language_layers = nn.ModuleList(language_layers)
        self.interval = len(layers) // len(fusions)
        self.mask_fusion = mask_fusion

    def forward(
        self, tokens: Tokens, labels: Tensor, label_padding: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Encode.

        Args:
            tokens: the pixels.
            labels: B x T x text_dim pooled text features.
            label_padding: B x T, True where other labels must not attend to a label.

        Returns:
            Memory B x S x dim and the label states B x T x text_dim after each language layer.
        """
        values = tokens.values
        references = encoder_reference_points(tokens.shapes, tokens.valid_ratios)
        coarsest = tokens.shapes[-1][0] * tokens.shapes[-1][1]
        attend = None if label_padding is None else ~label_padding
        pixel_padding = None if tokens.padding is None else tokens.padding[:, -coarsest:]
        masks = (pixel_padding, label_padding) if self.mask_fusion else (None, None)
        states = []
        for i, layer in enumerate(self.layers):
            if i % self.interval == 0:
                index = i // self.interval
                fused, labels = self.fusions[index](
                    values[:, -coarsest:], labels, tokens.positions[:, -coarsest:], *masks
                )
                values = torch.cat([values[:, :-coarsest], fused], 1)
                labels = self.language_layers[index](labels, attend)
                states.append(labels)
            values = layer(values, references, tokens)
        return values, states

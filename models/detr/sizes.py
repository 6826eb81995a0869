"""The numbers that DETR is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are the published model on ResNet-50.

    Args:
        dim: width of the model; a multiple of 4.
        heads: attention heads.
        queries: box queries.
        encoder_layers, decoder_layers: of the transformer.
        feedforward: hidden width.
        dropout: after each part.
    """

    dim: int = 256
    heads: int = 8
    queries: int = 100
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 2048
    dropout: float = 0.1

"""The numbers that Deformable DETR is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths, depths and switches; the defaults are the published model on ResNet-50.

    Args:
        dim: width of the model; a multiple of 32.
        heads: attention heads.
        queries: box queries.
        encoder_layers, decoder_layers: deformable layers.
        feedforward: hidden width.
        dropout: after each part.
        levels: feature levels.
        refine: boxes are refined from layer to layer, and every layer has heads of its own (iterative box
            refinement); otherwise all layers share their heads.
        centred: positions are those of pixel centres, as published. The pair detectors that RLIP's
            repositories train count from the edge: train with `false` what is to start one of them.
    """

    dim: int = 256
    heads: int = 8
    queries: int = 300
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 1024
    dropout: float = 0.1
    levels: int = 4
    refine: bool = False
    centred: bool = True

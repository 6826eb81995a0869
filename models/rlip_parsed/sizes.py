"""The numbers that RLIP-ParSeD is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are the published model on ResNet-50.

    Args:
        dim: width of the model; a multiple of 32.
        heads: attention heads.
        pairs: pair queries N_Q.
        predicate_copies: relation queries of a pair (docs/method.md, "Groups of predicates").
        encoder_layers: deformable encoder layers.
        decoder_layers: of each of the two decoders, and of each of the two fusions after them.
        feedforward: hidden width.
        dropout: everywhere but in the text encoder, which has its own.
        levels: feature levels.
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 100
    predicate_copies: int = 1
    encoder_layers: int = 6
    decoder_layers: int = 3
    feedforward: int = 1024
    dropout: float = 0.1
    levels: int = 4

"""The numbers that a SpeaQ model is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are Iterative SGG, the published baseline.

    Args:
        dim: width of the model; a multiple of 4.
        heads: attention heads.
        pairs: subject queries, and as many object queries.
        predicate_copies: predicate queries of a pair (SpeaQ published: 2).
        encoder_layers: of the encoder.
        decoder_layers: of each of the three decoders.
        feedforward: hidden width.
        dropout: after each part, and on attention weights.
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 300
    predicate_copies: int = 1
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 2048
    dropout: float = 0.1

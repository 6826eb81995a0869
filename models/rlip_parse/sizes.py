"""The numbers that RLIP-ParSe is built from."""

from __future__ import annotations

from dataclasses import dataclass

COMPARED = ("resized", "pooled")


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are the published model.

    Args:
        dim: width of the model; a multiple of 4.
        heads: attention heads.
        pairs: pair queries N_Q; each is a subject and an object query.
        predicate_copies: relation queries of a pair (docs/method.md, "Groups of predicates").
        encoder_layers: over pixels and texts; at least `decoder_layers`.
        decoder_layers: of each of the two decoders.
        feedforward: hidden width.
        dropout: everywhere but in the text encoder, which has its own.
        compared: what Relation Pseudo-Labels compare: `resized` texts, as in the authors' repository, or the
            text encoder's `pooled` vectors, as in RLIPv2's.

    Raises:
        ValueError: fewer encoder than decoder layers, or an unknown choice.
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 100
    predicate_copies: int = 1
    encoder_layers: int = 6
    decoder_layers: int = 3
    feedforward: int = 2048
    dropout: float = 0.1
    compared: str = "resized"

    def __post_init__(self) -> None:
        if self.encoder_layers < self.decoder_layers:
            raise ValueError(
                f"model.sizes.encoder_layers is {self.encoder_layers}; give at least decoder_layers, "
                f"{self.decoder_layers}: each is classified by the texts of an encoder layer of its own"
            )
        if self.compared not in COMPARED:
            raise ValueError(f"model.sizes.compared is {self.compared!r}; choose {' or '.join(COMPARED)}")

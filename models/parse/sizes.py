"""The numbers that ParSe is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are the published HICO-DET model.

    Args:
        dim: width of the model; a multiple of 4.
        heads: attention heads.
        pairs: pair queries N_Q; each is a subject and an object query.
        predicate_copies: relation queries of a pair (docs/method.md, "Groups of predicates").
        encoder_layers: of DETR's encoder.
        decoder_layers: of each of the two decoders.
        feedforward: hidden width.
        dropout: after each part.
        subject_class: predict the subject's class too, by the object classifier. HICO-DET and V-COCO have
            people as subjects.
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 64
    predicate_copies: int = 1
    encoder_layers: int = 6
    decoder_layers: int = 3
    feedforward: int = 2048
    dropout: float = 0.1
    subject_class: bool = False

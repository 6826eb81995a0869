"""The numbers that CDN is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are the published CDN-S on HICO-DET.

    Args:
        dim: width of the model; a multiple of 4.
        heads: attention heads.
        pairs: pair queries N_Q; 100 published for V-COCO.
        predicate_copies: relation queries of a pair (docs/method.md, "Groups of predicates").
        encoder_layers: of DETR.
        decoder_layers: of the decoder of pairs; 6 in CDN-B and CDN-L.
        relation_layers: of the decoder of relations; as many as `decoder_layers` published.
        feedforward: hidden width.
        dropout: after each part.
        subject_class: predict the subject's class too, by the object classifier. HICO-DET and V-COCO have
            people as subjects.
        matching: a head that says whether a query holds a pair; it takes part in assignment, losses and
            scores (the authors' `--use_matching`).
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 64
    predicate_copies: int = 1
    encoder_layers: int = 6
    decoder_layers: int = 3
    relation_layers: int = 3
    feedforward: int = 2048
    dropout: float = 0.1
    subject_class: bool = False
    matching: bool = False

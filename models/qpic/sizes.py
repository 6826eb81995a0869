"""The numbers that QPIC is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults are the published model.

    Args:
        dim: width of the model; a multiple of 4.
        heads: attention heads.
        pairs: pair queries N_Q.
        encoder_layers, decoder_layers: of DETR.
        feedforward: hidden width.
        dropout: after each part.
        subject_class: predict the subject's class too, by the object classifier. HICO-DET and V-COCO have
            people as subjects.
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 100
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 2048
    dropout: float = 0.1
    subject_class: bool = False

"""The numbers that OCN is built from."""

from __future__ import annotations

from dataclasses import dataclass

PRIORS = ("conditional", "joint")


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
        word_width: numbers of a word vector.
        prior: relations given an object class, `conditional` (published for HICO-DET), or `joint` with it,
            which is closer to uniform (published for V-COCO).
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 100
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 2048
    dropout: float = 0.1
    subject_class: bool = False
    word_width: int = 300
    prior: str = "conditional"

    def __post_init__(self) -> None:
        if self.prior not in PRIORS:
            raise ValueError(f"model.sizes.prior is {self.prior!r}; choose {' or '.join(PRIORS)}")

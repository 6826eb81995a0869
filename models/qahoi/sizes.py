"""The numbers that QAHOI is built from, as its authors and as RLIPv2's repository have it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The published QAHOI; widths and depths.

    Args:
        dim: width of the model; a multiple of 32.
        heads: attention heads.
        pairs: pair queries N_Q.
        encoder_layers, decoder_layers: deformable layers.
        feedforward: hidden width.
        dropout: after each part.
        levels: feature levels; with 3 those of the backbone alone.
        objects: `sigmoid`, or `softmax` with a class "no objects" (the authors' flag `--no_obj`).
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 300
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 1024
    dropout: float = 0.1
    levels: int = 3
    objects: str = "sigmoid"

    def __post_init__(self) -> None:
        if self.objects not in {"sigmoid", "softmax"}:
            raise ValueError(f"model.sizes.objects is {self.objects!r}; choose sigmoid or softmax")


@dataclass(frozen=True)
class RefinedSizes:
    """QAHOI of RLIPv2's repository (`--DDETRHOI`).

    Args:
        dim: width of the model; a multiple of 32.
        heads: attention heads.
        pairs: pair queries N_Q.
        encoder_layers, decoder_layers: deformable layers.
        feedforward: hidden width.
        dropout: after each part.
        levels: feature levels; with 3 those of the backbone alone.
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 100
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 1024
    dropout: float = 0.1
    levels: int = 4

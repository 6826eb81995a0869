"""The numbers that a model of the family is built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Widths, depths and switches; the defaults are RLIPv2-ParSeD and the R-Tagger on ResNet-50.

    Args:
        dim: width of the model; a multiple of 32.
        heads: attention heads, vision side and fusion.
        pairs: pair queries N_Q.
        predicate_copies: relation queries of a pair (docs/method.md, "Groups of predicates"); 1 in the
            R-Tagger.
        encoder_layers: deformable encoder layers.
        fusions: N_ALIF; N_v = encoder_layers / fusions (paper, Table 1).
        decoder_layers: of each of the two decoders.
        feedforward: hidden width, vision side (2048 in ParSeDA and the Swin models).
        dropout: everywhere but in the text encoder, which has its own.
        levels: feature levels.
        gate: a key of `GATES` (paper, Table 2).
        branch_fusion: relation queries start from a multi-branch fusion of subject and object state
            (published flag `vanilla_MBF`); otherwise their position is the sum of the two (`vanilla`).
        ordered_pairs: R-Tagger only: relation queries start from subject and object state side by side, so
            that a pair and its reverse differ; the published one adds them (docs/method.md, "Pair queries").
        pair_geometry: R-Tagger only: a perceptron of 14 numbers about how the two boxes lie to each other,
            zero at first, is added to the relation queries; the published one sees each box by itself.
        pair_pixels: R-Tagger only: four convolutions over so many points a side of the crop around both
            boxes, zero at first, are added to the relation queries; 0: none are, as published.
        fusion_dim: width of the fusion's attention.
        language_heads: attention heads of a language layer.
        language_feedforward: hidden width of a language layer.
        mask_fusion: keep padding out of the fusion; the published code does not (docs/method.md, "Language
            fusion").
    """

    dim: int = 256
    heads: int = 8
    pairs: int = 100
    predicate_copies: int = 1
    encoder_layers: int = 6
    fusions: int = 3
    decoder_layers: int = 3
    feedforward: int = 1024
    dropout: float = 0.1
    levels: int = 4
    gate: str = "vector"
    branch_fusion: bool = False
    ordered_pairs: bool = False
    pair_geometry: bool = False
    pair_pixels: int = 0
    fusion_dim: int = 2048
    language_heads: int = 12
    language_feedforward: int = 3072
    mask_fusion: bool = True

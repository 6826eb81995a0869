"""RLIPv2-ParSeD, RLIPv2-ParSeDA and the R-Tagger: three builders over the same blocks."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.branch_fusion import MultiBranchFusion
from relforge.models.blocks.decoder import AnchorPosition, Decoder, decoder_layers
from relforge.models.blocks.encoder import FusionEncoder, encoder_layers
from relforge.models.blocks.fusion import Fusion
from relforge.models.blocks.heads import BoxHeads, LabelClassifier
from relforge.models.blocks.language import LanguageLayer, Resizer
from relforge.models.blocks.ordered_pair import OrderedPair
from relforge.models.blocks.pair_geometry import PairGeometry
from relforge.models.blocks.pair_pixels import LEAST_POINTS, PairPixels
from relforge.models.blocks.pair_queries import PairQueries
from relforge.models.blocks.predicate_copies import predicate_copies
from relforge.models.blocks.pyramid import Pyramid
from relforge.models.blocks.queries import AnchorQueries, LearnedQueries
from relforge.models.blocks.text import TextEncoder
from relforge.models.rlipv2.model import RelationModel
from relforge.models.rlipv2.sizes import Sizes


def build_parsed(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str] = (),
    relations: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
) -> RelationModel:
    """RLIPv2-ParSeD: pairs are searched for, from a learned table (206.6 M parameters on ResNet-50)."""
    queries = LearnedQueries(sizes.dim, sizes.pairs, relation_position=sizes.branch_fusion)
    return _compose(backbone, text_encoder, sizes, queries, anchors=False)


def build_parseda(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str] = (),
    relations: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
) -> RelationModel:
    """RLIPv2-ParSeDA: pairs are searched for, from learned anchor boxes (213.7 M on ResNet-50)."""
    return _compose(backbone, text_encoder, sizes, AnchorQueries(sizes.dim, sizes.pairs), anchors=True)


def build_rtagger(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str] = (),
    relations: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
) -> RelationModel:
    """The R-Tagger: pairs are given; only their relations are predicted."""
    queries = PairQueries(
        sizes.dim,
        sizes.pairs,
        relation_position=sizes.branch_fusion,
        geometry=PairGeometry(sizes.dim) if sizes.pair_geometry else None,
    )
    return _compose(backbone, text_encoder, sizes, queries, anchors=False)


def _compose(
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    s: Sizes,
    queries: LearnedQueries | AnchorQueries | PairQueries,
    *,
    anchors: bool,
) -> RelationModel:
    if backbone is None or text_encoder is None:
        raise ValueError("a model of this family needs a backbone and a text encoder")
    if s.ordered_pairs and not isinstance(queries, PairQueries):
        raise ValueError(
            "ordered_pairs is for the R-Tagger, whose pairs are given; branch_fusion is for the others"
        )

    for switch in ("pair_geometry", "pair_pixels"):
        if getattr(s, switch) and not isinstance(queries, PairQueries):
            raise ValueError(f"{switch} is for the R-Tagger, whose pairs are given")
    if s.pair_pixels and s.pair_pixels < LEAST_POINTS:
        raise ValueError(
            f"pair_pixels: {s.pair_pixels:d} points a side are too few; use {LEAST_POINTS} or more"
        )
    if s.predicate_copies > 1 and isinstance(queries, PairQueries):
        raise ValueError("predicate_copies is for models that search; the R-Tagger's pairs are given")
    widths = s.dim, s.heads, s.feedforward, s.dropout, s.levels

    def decoder() -> Decoder:
        return Decoder(decoder_layers(s.decoder_layers, *widths), AnchorPosition(s.dim) if anchors else None)

    encoder = FusionEncoder(
        encoder_layers(s.encoder_layers, *widths),
        [
            Fusion(
                vision_dim=s.dim,
                text_dim=text_encoder.width,
                embed_dim=s.fusion_dim,
                heads=s.heads,
                dropout=s.dropout,
                gate=s.gate,
            )
            for _ in range(s.fusions)
        ],
        [
            LanguageLayer(text_encoder.width, s.language_heads, s.language_feedforward, s.dropout)
            for _ in range(s.fusions)
        ],
        mask_fusion=s.mask_fusion,
    )
    return RelationModel(
        backbone=backbone,
        pyramid=Pyramid(backbone.channels, s.dim, s.levels),
        text_encoder=text_encoder,
        encoder=encoder,
        resizer=Resizer(text_encoder.width, s.dim, s.dropout),
        queries=queries,
        entity_decoder=decoder(),
        relation_decoder=decoder(),
        subject_boxes=BoxHeads(s.dim, 2 * s.decoder_layers),
        object_boxes=BoxHeads(s.dim, 2 * s.decoder_layers),
        classifier=LabelClassifier(s.dim),
        predicate_copies=predicate_copies(s.dim, s.predicate_copies),
        pair_fusion=MultiBranchFusion(s.dim) if s.branch_fusion else None,
        ordered_pair=OrderedPair(s.dim) if s.ordered_pairs else None,
        pair_pixels=PairPixels(s.dim, s.pair_pixels) if s.pair_pixels else None,
    )

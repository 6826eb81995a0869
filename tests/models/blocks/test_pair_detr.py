"""The network of the DETR line: which layers are supervised together, and what a layout shares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.pair_layout import PairQueryDecoder
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.single_scale import SingleScale
from relforge.models.zoo import family

BACKBONE = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
GOLDENS = Path(__file__).resolve().parents[2] / "goldens"


def build(kind: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    small = {"dim": 32, "heads": 2, "pairs": 4, "encoder_layers": 1, "feedforward": 16} | sizes
    entry = family(kind)
    return entry.build(
        entry.sizes(**small),
        backbone=build_backbone(BACKBONE),
        text_encoder=None,
        classes=("person", "dog"),
        relations=("ride", "hold", "see"),
    ).eval()


@torch.no_grad()
def test_of_unequal_decoders_the_last_layers_are_supervised_together() -> None:
    stored = json.loads((GOLDENS / "g8_cdn_reweighting.json").read_text())["aux_pairing_4_3"]
    model = build("cdn", decoder_layers=4, relation_layers=3)
    seen: dict[str, Any] = {}
    model.pairs.register_forward_hook(lambda *args: seen.update(pairs=args[-1]))
    layers = model(torch.randn(1, 3, 64, 64), Labels((), ())).layers
    assert len(layers) == stored["n_aux"] + 1
    for k, layer in enumerate(layers):
        expected = model.classifier.entities(0, seen["pairs"].objects[4 - 3 + k])
        assert layer.object_logits.equal(expected)


@torch.no_grad()
def test_a_shared_query_is_both_ends_and_a_split_pair_their_sum() -> None:
    tokens = SingleScale(8, 32)(torch.randn(2, 8, 3, 4), None)
    decoder = DetrDecoder(2, 32, 2, 16, 0.0)
    shared = PairQueryDecoder("shared", 5, 32, decoder)(tokens)
    assert shared.subjects[1] is shared.objects[1] is shared.pairs[1]
    split = PairQueryDecoder("split", 5, 32, decoder)(tokens)
    assert split.subjects[0].shape == shared.subjects[0].shape == (2, 5, 32)
    assert split.pairs[1].equal(split.subjects[1] + split.objects[1])
    with pytest.raises(ValueError, match="unknown pair layout 'double'; choose one of shared, split"):
        PairQueryDecoder("double", 5, 32, decoder)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["qpic", "cdn"])
def test_padding_changes_predictions_by_the_border_alone(kind: str) -> None:
    model = build(kind, decoder_layers=2, subject_class=True)
    image = torch.randn(1, 3, 64, 96)
    padded = torch.nn.functional.pad(image, (0, 32, 0, 64))
    padding = torch.ones(1, 128, 128, dtype=torch.bool)
    padding[:, :64, :96] = False
    alone = model(image, Labels((), ())).layers[-1]
    beside = model(padded, Labels((), ()), padding).layers[-1]
    assert alone.subject_logits is not None
    torch.testing.assert_close(alone.subject_logits, beside.subject_logits, rtol=0, atol=0.01)

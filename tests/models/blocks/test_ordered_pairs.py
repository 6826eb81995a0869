"""Direction: whether a relation query of the R-Tagger depends on the order of the pair."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.pair_queries import pad_pairs
from relforge.models.blocks.text import TextEncoder
from relforge.models.rlipv2.model import RelationModel
from relforge.models.rlipv2.sizes import Sizes
from relforge.models.zoo import family

SMALL: dict[str, int | float] = {
    "dim": 32,
    "heads": 2,
    "pairs": 4,
    "encoder_layers": 1,
    "fusions": 1,
    "decoder_layers": 1,
    "feedforward": 32,
    "dropout": 0.0,
    "fusion_dim": 32,
    "language_heads": 2,
    "language_feedforward": 32,
}


def model(kind: str, **switches: int) -> RelationModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = TextEncoder(BertModel(BertConfig(vocab_size=9, **sizes)), lambda label: [1, 2, 3])
    body = build_backbone(
        {"family": "swin", "embed_dim": 8, "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1], "window": 4}
    )
    built = family(kind).build(
        Sizes(**SMALL, **switches),  # type: ignore[arg-type]
        backbone=body,
        text_encoder=text,
        classes=(),
        relations=(),
    )
    assert isinstance(built, RelationModel)
    return built.eval()


@pytest.mark.parametrize("switch", ["ordered_pairs", "branch_fusion"])
def test_a_pair_and_its_reverse_start_apart(switch: str) -> None:
    # given one image and the same two boxes as (first, second) and as (second, first)
    tagger = model("rtagger", **{switch: True})
    boxes = torch.tensor([[[0.3, 0.5, 0.2, 0.4], [0.7, 0.5, 0.2, 0.2]]])
    labels = torch.tensor([[0, 1]])
    with torch.no_grad():
        memory = tagger.encode(torch.randn(1, 3, 128, 128), torch.randn(4, 32))
        scores = [
            tagger.decode(memory, 2, pad_pairs([b], [c], 1))[-1]
            for b, c in ((boxes, labels), (boxes.flip(1), labels.flip(1)))
        ]
    assert not torch.allclose(scores[0].relation_logits, scores[1].relation_logits, atol=1e-4)


def test_only_the_tagger_has_ordered_pairs() -> None:
    for switch in ("ordered_pairs", "pair_geometry", "pair_pixels"):
        with pytest.raises(ValueError, match=f"{switch} is for the R-Tagger"):
            model("parsed", **{switch: True})

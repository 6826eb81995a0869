"""Blocks against the published code's (goldens g0)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from relforge.models.blocks.boxes import generalised_iou
from relforge.models.blocks.fusion import Fusion
from relforge.models.blocks.language import LanguageLayer
from relforge.models.rlipv2.published_keys import our_name

GATES = {"GLIP": "vector", "VXAc": "scalar", "Vtanh": "scalar_tanh", "Etanh": "vector_tanh"}


def block_state(golden: Any, prefix: str, published: str, ours: str) -> dict[str, torch.Tensor]:
    """The weights `prefix*` of a fixture under our names."""
    keys = [name for name in golden.arrays.files if name.startswith(prefix)]
    renamed = {our_name(f"{published}{key.removeprefix(prefix)}"): golden[key] for key in keys}
    return {str(name).removeprefix(ours): tensor for name, tensor in renamed.items()}


@pytest.mark.parametrize("published", GATES)
def test_fusion_equals_the_published_block_for_every_gate(golden: Any, published: str) -> None:
    g = golden("g0_fusion_units")
    state = block_state(
        g, "fuse/state/", "transformer.ho_encoder.VLFuse_layers.0.b_attn.", "encoder.fusions.0."
    )
    block = Fusion(vision_dim=16, text_dim=24, embed_dim=32, heads=4, gate=GATES[published]).eval()
    block.load_state_dict(state)

    vision, labels = block(g["fuse/in_v"], g["fuse/in_l"], g["fuse/in_pos"])

    g.check(f"fuse/{published}_v", vision, 1e-5)
    g.check(f"fuse/{published}_l", labels, 1e-5)


def test_masked_fusion_ignores_what_is_padded(golden: Any) -> None:
    g = golden("g0_fusion_units")
    torch.manual_seed(0)
    block = Fusion(vision_dim=16, text_dim=24, embed_dim=32, heads=4).eval()
    vision, labels, positions = g["fuse/in_v"], g["fuse/in_l"], g["fuse/in_pos"]
    pixel_padding = torch.zeros(vision.shape[:2], dtype=torch.bool)
    label_padding = torch.zeros(labels.shape[:2], dtype=torch.bool)
    pixel_padding[:, 8:] = True
    label_padding[:, 4:] = True

    masked = block(vision, labels, positions, pixel_padding, label_padding)
    alone = block(vision[:, :8], labels[:, :4], positions[:, :8])

    torch.testing.assert_close(masked[0][:, :8], alone[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(masked[1][:, :4], alone[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("masked", [True, False])
def test_language_layer_equals_the_published_one(golden: Any, masked: bool) -> None:
    g = golden("g0_fusion_units")
    state = block_state(
        g, "roberta_layer/state/", "transformer.ho_encoder.roberta_layers.0.", "encoder.language_layers.0."
    )
    query = state["query.weight"]
    eps = float(g["roberta_layer/layer_norm_eps"])
    layer = LanguageLayer(len(query), 4, len(state["linear1.weight"]), eps=eps)
    layer.load_state_dict(state)

    out = layer.eval()(g["roberta_layer/in_hidden"], g["roberta_layer/in_mask"] if masked else None)

    g.check("roberta_layer/out" if masked else "roberta_layer/out_all_attend", out, 1e-5)


def test_generalised_iou_equals_the_published_table(golden: Any) -> None:
    g = golden("g0_msda_units")
    g.check("giou/out", generalised_iou(g["giou/a"][:, None], g["giou/b"][None]), 1e-6)

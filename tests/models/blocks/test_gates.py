"""Every gate of the paper's Table 2 in a fusion block."""

from __future__ import annotations

import pytest
import torch

from relforge.models.blocks.fusion import Fusion
from relforge.models.blocks.gating import GATES


@pytest.mark.parametrize("gate", GATES)
def test_a_fusion_block_learns_through_every_gate(gate: str) -> None:
    torch.manual_seed(0)
    block = Fusion(vision_dim=8, text_dim=12, embed_dim=16, heads=2, gate=gate)
    vision, labels = block(torch.randn(2, 5, 8), torch.randn(2, 3, 12), torch.randn(2, 5, 8))
    assert vision.shape == (2, 5, 8)
    assert labels.shape == (2, 3, 12)
    (vision.sum() + labels.square().sum()).backward()
    assert all(p.grad is not None for p in block.parameters())


@pytest.mark.parametrize("gate", ["scalar_tanh", "vector_tanh", "squeeze_excite_tanh"])
def test_tanh_bounds_what_is_added(gate: str) -> None:
    added = GATES[gate](8)(torch.full((1, 4, 8), 1.0) * 100)
    limit = 1.0 if gate.startswith("squeeze") else 100.0
    assert added.abs().max() <= limit


def test_a_scalar_gate_reads_the_first_entry_of_the_stored_vector() -> None:
    gate = GATES["scalar"](4)
    with torch.no_grad():
        gate.gamma.copy_(torch.tensor([2.0, 9.0, 9.0, 9.0]))
    assert gate(torch.ones(1, 1, 4)).tolist() == [[[2.0] * 4]]


def test_an_unknown_gate_is_named() -> None:
    with pytest.raises(ValueError, match="unknown gate 'relu'; choose one of scalar"):
        Fusion(vision_dim=8, text_dim=12, embed_dim=16, heads=2, gate="relu")

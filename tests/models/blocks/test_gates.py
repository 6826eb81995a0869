"""Every gate of the paper's Table 2 in a fusion block."""

from __future__ import annotations

import pytest
import torch

from relforge.models.blocks.fusion import Fusion
from relforge.models.blocks.gating import GATES, ScaleGate


@pytest.mark.parametrize("gate", GATES)
def test_a_fusion_block_learns_through_every_gate(gate: str) -> None:
    torch.manual_seed(0)
    block = Fusion(vision_dim=8, text_dim=12, embed_dim=16, heads=2, gate=gate)
    vision, labels = block(torch.randn(2, 5, 8), torch.randn(2, 3, 12), torch.randn(2, 5, 8))
    assert vision.shape == (2, 5, 8)
    assert labels.shape == (2, 3, 12)
    (vision.sum() + labels.square().sum()).backward()
    assert all(p.grad is not None for p in block.parameters())


def gate_with(name: str, gamma: list[float]) -> ScaleGate:
    """A scalar or vector gate with those stored values."""
    gate = GATES[name](len(gamma))
    assert isinstance(gate, ScaleGate)
    with torch.no_grad():
        gate.gamma.copy_(torch.tensor(gamma))
    return gate


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # a factor of 50 or -50 is squashed to 1 or -1: never more is added than the input itself
        ("scalar_tanh", [100.0, 100.0]),
        ("vector_tanh", [100.0, -100.0]),
        ("scalar", [5000.0, 5000.0]),
        ("vector", [5000.0, -5000.0]),
    ],
)
def test_tanh_bounds_the_factor_of_a_scale_gate(name: str, expected: list[float]) -> None:
    added = gate_with(name, [50.0, -50.0])(torch.full((1, 3, 2), 100.0))
    assert added.tolist() == [[expected] * 3]


@pytest.mark.parametrize(("tanh", "limit"), [(True, 1.0), (False, 100.0)])
def test_a_squeeze_excite_gate_is_bounded_by_its_input_and_with_tanh_by_one(tanh: bool, limit: float) -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.full((1, 4, 8), 100.0), torch.full((1, 4, 8), -100.0)])
    added = GATES["squeeze_excite_tanh" if tanh else "squeeze_excite"](8)(x)
    assert added.abs().max() <= limit
    assert (added.sign() == x.sign()).all()
    if not tanh:  # the weights are no constant, and the values are not squashed
        assert added.abs().max() > 1.0
        assert len(added[0, 0].unique()) > 1


def test_no_gate_adds_everything() -> None:
    x = torch.randn(1, 3, 8)
    assert torch.equal(GATES["none"](8)(x), x)


def test_a_scalar_gate_reads_the_first_entry_of_the_stored_vector() -> None:
    gate = gate_with("scalar", [2.0, 9.0, 9.0, 9.0])
    assert gate(torch.ones(1, 1, 4)).tolist() == [[[2.0] * 4]]


def test_an_unknown_gate_is_named() -> None:
    with pytest.raises(ValueError, match="unknown gate 'relu'; choose one of scalar"):
        Fusion(vision_dim=8, text_dim=12, embed_dim=16, heads=2, gate="relu")

"""The operator and the module against values recorded from the published implementation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.module import MSDeformAttn
from tests.conftest import TEST_DEVICE

GOLDENS = "goldens/g0_msda_units.npz"


def assert_near(ours: torch.Tensor | None, theirs: torch.Tensor, rtol: float, atol: float) -> None:
    """Within the tolerances; on a GPU, which adds in another order, within 2e-4 too."""
    assert ours is not None
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol if TEST_DEVICE == "cpu" else 2e-4)


@pytest.fixture
def goldens(shared: Callable[[str], Path]) -> dict[str, torch.Tensor]:
    with np.load(shared(GOLDENS)) as arrays:
        found = {name: torch.from_numpy(arrays[name]).to(TEST_DEVICE) for name in arrays.files}
    return found | {"core/shapes": found["core/shapes"].cpu()}


def test_operator_and_its_gradients_match_the_published_ones(
    goldens: dict[str, torch.Tensor], kernel: str
) -> None:
    value, locations, weights = (
        goldens[f"core/{name}"].clone().requires_grad_() for name in ("value", "loc", "weights")
    )
    output = ms_deform_attn(value, goldens["core/shapes"], locations, weights, kernel=kernel)
    output.backward(goldens["core/grad_out"])
    assert_near(output, goldens["core/out"], rtol=1e-5, atol=1e-6)
    assert_near(value.grad, goldens["core/grad_value"], rtol=1e-5, atol=1e-6)
    assert_near(locations.grad, goldens["core/grad_loc"], rtol=1e-4, atol=1e-5)
    assert_near(weights.grad, goldens["core/grad_weights"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reference", ["points", "boxes"])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
def test_module_matches_the_published_one(
    goldens: dict[str, torch.Tensor], kernel: str, reference: str, masked: bool
) -> None:
    module = MSDeformAttn(d_model=32, n_levels=4, n_heads=4, n_points=3, kernel=kernel).to(TEST_DEVICE)
    prefix = "module/state/"
    module.load_state_dict({key[len(prefix) :]: v for key, v in goldens.items() if key.startswith(prefix)})
    output = module(
        goldens["module/query"],
        goldens[f"module/ref_{reference}"],
        goldens["module/input"],
        goldens["core/shapes"],
        goldens["module/padding_mask"] if masked else None,
    )
    expected = goldens[f"module/out_{reference}" + ("" if masked else "_nomask")]
    assert_near(output, expected, rtol=1e-5, atol=1e-5)

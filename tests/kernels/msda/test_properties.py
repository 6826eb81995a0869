"""What must hold for any input, searched by hypothesis."""

from __future__ import annotations

import ctypes

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relforge.kernels.msda.functional import ms_deform_attn
from tests.kernels.msda.agreement import assert_agrees
from tests.kernels.msda.cases import Case, make_case

levels = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5)
cases = st.builds(
    make_case,
    levels=levels,
    batch=st.integers(1, 3),
    heads=st.integers(1, 4),
    channels=st.sampled_from([1, 7, 16, 32, 40, 64]),
    queries=st.integers(0, 20),
    points=st.integers(1, 6),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.5, 1.0, 3.0]),
)
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(case=cases)
def test_the_kernel_agrees_with_the_reference(native: ctypes.CDLL, case: Case) -> None:
    assert_agrees(case, "cpu")


@few
@given(case=cases, factor=st.floats(-3, 3))
def test_the_output_is_linear_in_the_value(native: ctypes.CDLL, case: Case, factor: float) -> None:
    rest = (case.shapes, case.locations, case.weights)
    once = ms_deform_attn(case.value, *rest, kernel="cpu")
    scaled = ms_deform_attn(factor * case.value, *rest, kernel="cpu")
    torch.testing.assert_close(scaled, factor * once, rtol=1e-4, atol=1e-4)


@few
@given(case=cases)
def test_a_constant_image_sampled_inside_gives_the_sum_of_the_weights(
    native: ctypes.CDLL, case: Case
) -> None:
    value = torch.ones_like(case.value)
    sizes = case.shapes.flip(-1)[:, None, :]  # L x 1 x 2, as (x, y)
    half = 0.5 / sizes
    inside = case.locations.clamp(half, 1 - half)
    output = ms_deform_attn(value, case.shapes, inside, case.weights, kernel="cpu")
    expected = case.weights.flatten(3).sum(-1)[..., None].expand(-1, -1, -1, value.shape[-1])
    torch.testing.assert_close(output.view(expected.shape), expected, rtol=1e-4, atol=1e-4)

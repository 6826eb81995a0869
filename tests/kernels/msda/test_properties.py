"""What must hold for any input, searched by hypothesis."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relforge.kernels.msda.functional import ms_deform_attn
from tests.kernels.msda.agreement import assert_agrees
from tests.kernels.msda.conftest import make_case

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
@given(problem=cases)
def test_the_kernel_agrees_with_the_reference(native, problem):
    assert_agrees(problem, "cpu")


@few
@given(problem=cases, factor=st.floats(-3, 3))
def test_the_output_is_linear_in_the_value(native, problem, factor):
    rest = (problem.shapes, problem.locations, problem.weights)
    once = ms_deform_attn(problem.value, *rest, kernel="cpu")
    scaled = ms_deform_attn(factor * problem.value, *rest, kernel="cpu")
    torch.testing.assert_close(scaled, factor * once, rtol=1e-4, atol=1e-4)


@few
@given(problem=cases)
def test_a_constant_image_sampled_inside_gives_the_sum_of_the_weights(native, problem):
    value = torch.ones_like(problem.value)
    sizes = problem.shapes.flip(-1)[:, None, :]  # L x 1 x 2, as (x, y)
    half = 0.5 / sizes
    inside = problem.locations.clamp(half, 1 - half)
    output = ms_deform_attn(value, problem.shapes, inside, problem.weights, kernel="cpu")
    expected = problem.weights.flatten(3).sum(-1)[..., None].expand(-1, -1, -1, value.shape[-1])
    torch.testing.assert_close(output.view(expected.shape), expected, rtol=1e-4, atol=1e-4)

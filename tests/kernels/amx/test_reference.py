"""How exact the reference's split operands are."""

from __future__ import annotations

from relforge.kernels.amx import reference
from tests.kernels.amx.numbers import normal


def test_two_parts_hold_sixteen_bits_and_their_product_is_within_a_hundred_thousandth() -> None:
    x, weight = normal(200, 1024), normal(300, 1024)
    lead, trail = reference.split(x, 2)
    assert ((lead.float() + trail.float() - x) / x).abs().max() < 2**-16
    exact = x.double() @ weight.double().T
    product = reference.matmul(x, weight.T, 2)
    assert reference.relative_error(product, exact) < 3e-5
    rms = (product - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert rms < 6e-6

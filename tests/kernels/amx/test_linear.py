"""Linear layers on AMX: what they compute, how exactly, and that a row's bits depend on the row alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from relforge.kernels.amx import reference
from relforge.kernels.amx.library import Precision
from relforge.kernels.amx.linear import AmxLinear
from tests.kernels.amx.numbers import PARTS, normal

pytestmark = pytest.mark.usefixtures("amx")

# rows, in, out: one block and several, odd remainders, one chunk of terms and several
SIZES = [(1, 1, 1), (5, 40, 33), (16, 32, 32), (31, 100, 7), (33, 513, 64), (120, 768, 100), (577, 1100, 65)]
# outputs above 2 MiB are written past the caches, in whole lines or not
SIZES += [(577, 40, 1024), (577, 40, 1030)]


@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SIZES)
def test_a_linear_layer_agrees_with_the_reference(
    precision: Precision, rows: int, inputs: int, outputs: int
) -> None:
    x, weight, bias = normal(rows, inputs), normal(outputs, inputs), normal(outputs)
    y = AmxLinear(weight, bias, precision)(x)
    assert y.dtype == torch.float32
    assert reference.relative_error(y, reference.linear(x, weight, bias, PARTS[precision])) < 3e-6


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SIZES[1:])
def test_norm_gelu_and_residual_are_torchs(rows: int, inputs: int, outputs: int) -> None:
    x, weight, bias = 3 * normal(rows, inputs) + 1, normal(outputs, inputs), normal(outputs)
    norm, residual = (normal(inputs), normal(inputs, seed=1)), normal(rows, outputs, seed=2)
    layer = AmxLinear(weight, bias)
    exact = [t.double() for t in (x, weight, bias, residual, *norm)]
    normed = F.layer_norm(exact[0], (inputs,), exact[4], exact[5], 1e-3)
    for y, before, after in (
        (layer(x, norm=norm, eps=1e-3), normed, 0.0),
        (layer(x, gelu=True), F.gelu(exact[0]), 0.0),
        (layer(x, norm=norm, eps=1e-3, gelu=True, residual=residual), F.gelu(normed), exact[3]),
    ):
        assert reference.relative_error(y, F.linear(before, exact[1], exact[2]) + after) < 6e-5


@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SIZES)
def test_rows_packed_for_the_next_layer_equal_those_that_it_packs_itself(
    precision: Precision, rows: int, inputs: int, outputs: int
) -> None:
    x, norm = normal(rows, inputs), (normal(inputs), normal(inputs, seed=1))
    first = AmxLinear(normal(outputs, inputs), normal(outputs), precision)
    second = AmxLinear(normal(9, outputs), normal(9), precision)
    residual = normal(rows, 9, seed=2)
    chained = second(first.forward_packed(x, norm=norm, gelu=True), residual=residual)
    assert torch.equal(chained, second(first(x, norm=norm), gelu=True, residual=residual))


def test_gelu_is_exact_over_the_whole_line() -> None:
    x = torch.linspace(-12, 12, 100_001)[:, None]
    identity = AmxLinear(torch.ones(1, 1), torch.zeros(1))
    # the product rounds to 16 bits; next to zero the function itself must be as good
    error = identity(x, gelu=True) - F.gelu(x.double())
    assert (error.abs() < 2**-16 * F.gelu(x.double()).abs() + 3e-7).all()


@pytest.mark.parametrize("precision", ["split", "bfloat16"])
def test_a_rows_bits_depend_on_the_row_alone(
    precision: Precision, with_threads: Callable[[int], None]
) -> None:
    # large enough that threads are started and that all rows, unlike a few, are written past the caches
    x, weight, bias = normal(577, 1100), normal(1024, 1100), normal(1024)
    layer = AmxLinear(weight, bias, precision)
    y = layer(x)
    for rows in (1, 3, 16, 31, 33, 120):
        assert torch.equal(layer(x[:rows]), y[:rows])
        assert torch.equal(layer(x[-rows:]), y[-rows:])
    order = torch.randperm(577, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(x[order]), y[order])
    for count in (1, 2, 5):
        with_threads(count)
        assert torch.equal(layer(x), y)


def test_no_rows_give_no_rows() -> None:
    assert AmxLinear(normal(4, 3), normal(4))(torch.zeros(0, 3)).shape == (0, 4)


@pytest.mark.parametrize("gelu", [False, True])
def test_nan_shows_in_every_number_that_it_enters(gelu: bool) -> None:
    x, weight = normal(40, 50), normal(33, 50)
    x[7, 3] = float("nan")
    undefined = AmxLinear(weight, torch.zeros(33))(x, gelu=gelu).isnan()
    assert undefined[7].all()
    assert not undefined[torch.arange(40) != 7].any()


def test_misfit_tensors_are_refused_with_what_was_expected() -> None:
    layer = AmxLinear(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"x is \(2, 5\), expected rows x 3"):
        layer(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"residual is \(1, 4\), expected \(2, 4\)"):
        layer(torch.zeros(2, 3), residual=torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"take float32 on the CPU, not torch.float64"):
        layer(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"x is \(2, 4\), expected rows x 3"):
        layer(layer.forward_packed(torch.zeros(2, 3)))
    rounded = AmxLinear(torch.zeros(3, 4), torch.zeros(3), "bfloat16")
    with pytest.raises(ValueError, match=r"packed in 2 part\(s\) for a layer of 1"):
        rounded(layer.forward_packed(torch.zeros(2, 3)))
    with pytest.raises(ValueError, match=r"bias is \(3,\), expected \(4,\)"):
        AmxLinear(torch.zeros(4, 3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"norm is \(4,\), expected \(3,\)"):
        layer(torch.zeros(2, 3), norm=(torch.zeros(3), torch.zeros(4)))
    with pytest.raises(ValueError, match="precision is 'half'; choose split or bfloat16"):
        AmxLinear(torch.zeros(4, 3), torch.zeros(4), "half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="take no norm and no GELU"):
        AmxLinear(torch.zeros(3, 4), torch.zeros(3))(layer.forward_packed(torch.zeros(2, 3)), gelu=True)

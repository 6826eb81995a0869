"""Linear layers and attention on the tile unit: what they compute, how exactly, and each row by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from relforge.kernels.amx import reference as twin
from relforge.kernels.amx import self_test as check
from relforge.kernels.amx.attention import TiledKeys
from relforge.kernels.amx.library import VARIABLE, Precision, why_unavailable
from relforge.kernels.amx.linear import TiledLinear
from relforge.kernels.amx.peak import peak
from relforge.kernels.msda.self_test import SelfTestFailed
from relforge.kernels.native import build
from tests.fixtures.sanitized import report_of

ROOT = Path(__file__).resolve().parents[3]
REFUSAL = why_unavailable()
tiles = pytest.mark.skipif(REFUSAL is not None, reason=f"no tile unit: {REFUSAL}")
PARTS = {"split": 2, "bfloat16": 1}
# rows, in, out: one block and several, odd remainders, one chunk of terms and several
SIZES = [(1, 1, 1), (5, 40, 33), (16, 32, 32), (31, 100, 7), (33, 513, 64), (120, 768, 100), (577, 1100, 65)]
# what is larger than 2 MiB goes past the caches, in whole lines or not
SIZES += [(577, 40, 1024), (577, 40, 1030)]
# queries, keys, heads, width
HEADS = [(1, 1, 1, 1), (7, 5, 2, 16), (10, 33, 3, 64), (35, 64, 2, 40), (100, 577, 1, 64)]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def test_two_parts_hold_sixteen_bits_and_their_product_is_within_a_hundred_thousandth() -> None:
    x, weight = normal(200, 1024), normal(300, 1024)
    lead, trail = twin.split(x, 2)
    assert ((lead.float() + trail.float() - x) / x).abs().max() < 2**-16
    exact = x.double() @ weight.double().T
    assert twin.relative_error(twin.product(x, weight.T, 2), exact) < 3e-5
    rms = (twin.product(x, weight.T, 2) - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert rms < 6e-6


@tiles
@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("rows", "inside", "outside"), SIZES)
def test_a_linear_layer_is_its_twin(precision: Precision, rows: int, inside: int, outside: int) -> None:
    x, weight, bias = normal(rows, inside), normal(outside, inside), normal(outside)
    found = TiledLinear(weight, bias, precision)(x)
    assert found.dtype == torch.float32
    assert twin.relative_error(found, twin.linear(x, weight, bias, PARTS[precision])) < 3e-6


@tiles
@pytest.mark.parametrize(("rows", "inside", "outside"), SIZES[1:])
def test_what_stands_before_and_after_the_product_is_torchs(rows: int, inside: int, outside: int) -> None:
    x, weight, bias = 3 * normal(rows, inside) + 1, normal(outside, inside), normal(outside)
    norm, residual = (normal(inside), normal(inside, seed=1)), normal(rows, outside, seed=2)
    layer = TiledLinear(weight, bias)
    wide = [t.double() for t in (x, weight, bias, residual, *norm)]
    normed = F.layer_norm(wide[0], (inside,), *wide[4:], 1e-3)
    for found, before, after in (
        (layer(x, norm=norm, eps=1e-3), normed, 0.0),
        (layer(x, gelu=True), F.gelu(wide[0]), 0.0),
        (layer(x, norm=norm, eps=1e-3, gelu=True, residual=residual), F.gelu(normed), wide[3]),
    ):
        assert twin.relative_error(found, F.linear(before, wide[1], wide[2]) + after) < 6e-5


@tiles
@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("rows", "inside", "outside"), SIZES)
def test_rows_left_packed_for_the_next_layer_are_what_it_would_have_read(
    precision: Precision, rows: int, inside: int, outside: int
) -> None:
    x, norm = normal(rows, inside), (normal(inside), normal(inside, seed=1))
    first = TiledLinear(normal(outside, inside), normal(outside), precision)
    second = TiledLinear(normal(9, outside), normal(9), precision)
    residual = normal(rows, 9, seed=2)
    packed = second(first.packed(x, norm=norm, gelu=True), residual=residual)
    assert torch.equal(packed, second(first(x, norm=norm), gelu=True, residual=residual))


@tiles
def test_gelu_is_exact_over_the_whole_line() -> None:
    x = torch.linspace(-12, 12, 100_001)[:, None]
    one = TiledLinear(torch.ones(1, 1), torch.zeros(1))
    # the product rounds to 16 bits; next to zero the function itself must be as good
    error = one(x, gelu=True) - F.gelu(x.double())
    assert (error.abs() < 2**-16 * F.gelu(x.double()).abs() + 3e-7).all()


@tiles
@pytest.mark.parametrize("precision", ["split", "bfloat16"])
def test_a_rows_bits_depend_on_nothing_but_the_row(precision: Precision) -> None:
    # so large that threads are worth starting and that the whole goes past the caches, unlike a few rows
    x, weight, bias = normal(577, 1100), normal(1024, 1100), normal(1024)
    layer = TiledLinear(weight, bias, precision)
    whole = layer(x)
    for rows in (1, 3, 16, 31, 33, 120):
        assert torch.equal(layer(x[:rows]), whole[:rows])
        assert torch.equal(layer(x[-rows:]), whole[-rows:])
    order = torch.randperm(577, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(x[order]), whole[order])
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            assert torch.equal(layer(x), whole)
    finally:
        torch.set_num_threads(threads)


@tiles
@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("queries", "keys", "heads", "width"), HEADS)
def test_attention_is_its_twin_for_every_query_by_itself(
    precision: Precision, queries: int, keys: int, heads: int, width: int
) -> None:
    # queries, keys and values are parts of one wide tensor, as a projection leaves them
    wide = 1.5 * normal(max(queries, keys), 3 * heads * width)
    q, k, v = (part[:n] for part, n in zip(wide.chunk(3, 1), (queries, keys, keys), strict=True))
    seen = TiledKeys(2, keys, heads, width, precision)
    seen.put(0, v, k)
    seen.put(1, k, v)
    found = seen.attend(1, q)
    by_head = (part.reshape(-1, heads, width).transpose(0, 1) for part in (q, k, v))
    expected = twin.attention(*by_head, PARTS[precision]).transpose(0, 1).flatten(1)
    # a weight that rounds to the neighbouring bfloat16 because its score differs in the last bit
    assert twin.relative_error(found, expected) < (2e-2 if precision == "bfloat16" else 3e-5)
    for one in range(0, queries, 9):
        assert torch.equal(seen.attend(1, q[one : one + 1])[0], found[one])


@tiles
def test_several_stacks_attend_at_once_each_to_its_own_and_by_any_number_of_threads() -> None:
    seen = TiledKeys(6, 577, 4, 64)
    queries, out = normal(5, 40, 256), torch.zeros(5, 40, 256)
    for place in range(6):
        seen.put(place, normal(577, 256, seed=place), normal(577, 256, seed=place + 10))
    alone = {slot: seen.attend(1 + slot, queries[slot]) for slot in (0, 2, 4)}
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            seen.attend_all(1, queries, out.zero_(), [4, 0, 2])
            assert all(torch.equal(out[slot], answer) for slot, answer in alone.items())
            assert not out[[1, 3]].any()
    finally:
        torch.set_num_threads(threads)
    with pytest.raises(ValueError, match=r"things 2 \+ \[4\] of 6"):
        seen.attend_all(2, queries, out, [4])


@tiles
def test_nothing_in_nothing_out() -> None:
    assert TiledLinear(normal(4, 3), normal(4))(torch.zeros(0, 3)).shape == (0, 4)
    seen = TiledKeys(1, 5, 2, 4)
    seen.put(0, normal(5, 8), normal(5, 8))
    assert seen.attend(0, torch.zeros(0, 8)).shape == (0, 8)
    seen.attend_all(0, normal(1, 3, 8), torch.zeros(1, 3, 8), [])


@tiles
def test_one_huge_score_takes_all_the_attention() -> None:
    q, k, v = torch.full((2, 8), 60.0), torch.zeros(40, 8), normal(40, 8)
    k[17] = 60.0
    seen = TiledKeys(1, 40, 1, 8)
    seen.put(0, k, v)
    assert torch.allclose(seen.attend(0, q), v[17].expand(2, 8), rtol=2**-15)


@tiles
def test_what_is_no_number_shows_in_every_answer_that_it_touches() -> None:
    x, weight = normal(40, 50), normal(33, 50)
    x[7, 3] = float("nan")
    for gelu in (False, True):
        found = TiledLinear(weight, torch.zeros(33))(x, gelu=gelu).isnan()
        assert found[7].all()
        assert not found[torch.arange(40) != 7].any()
    seen = TiledKeys(1, 40, 1, 50)
    seen.put(0, x, normal(40, 50))
    assert seen.attend(0, normal(3, 50)).isnan().all()


@tiles
def test_the_unit_has_a_speed_to_be_measured_by() -> None:
    assert peak() > 1e9


@tiles
def test_misfit_tensors_are_refused_by_what_was_expected() -> None:
    layer = TiledLinear(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"x is \(2, 5\), expected rows x 3"):
        layer(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"residual is \(1, 4\), expected \(2, 4\)"):
        layer(torch.zeros(2, 3), residual=torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"take float32 on the CPU, not torch.float64"):
        layer(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"x is \(2, 4\), expected rows x 3"):
        layer(layer.packed(torch.zeros(2, 3)))
    rounded = TiledLinear(torch.zeros(3, 4), torch.zeros(3), "bfloat16")
    with pytest.raises(ValueError, match=r"packed in 2 part\(s\) for a layer of 1"):
        rounded(layer.packed(torch.zeros(2, 3)))
    with pytest.raises(ValueError, match=r"bias is \(3,\), expected \(4,\)"):
        TiledLinear(torch.zeros(4, 3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"norm is \(4,\), expected \(3,\)"):
        layer(torch.zeros(2, 3), norm=(torch.zeros(3), torch.zeros(4)))
    with pytest.raises(ValueError, match="precision is 'half'; choose split or bfloat16"):
        TiledLinear(torch.zeros(4, 3), torch.zeros(4), "half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="take no norm and no GELU"):
        TiledLinear(torch.zeros(3, 4), torch.zeros(3))(layer.packed(torch.zeros(2, 3)), gelu=True)
    seen = TiledKeys(1, 5, 2, 4)
    with pytest.raises(ValueError, match="expected 5 rows of 8"):
        seen.put(0, torch.zeros(5, 7), torch.zeros(5, 7))
    with pytest.raises(ValueError, match="expected N x 8"):
        seen.attend(0, torch.zeros(3, 7))


@tiles
@pytest.mark.parametrize("precision", ["split", "bfloat16"])
def test_the_self_test_notices_a_unit_that_answers_nonsense(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check.self_test(precision) < check.TOLERANCE[precision]
    attend = TiledKeys.attend
    monkeypatch.setattr(TiledKeys, "attend", lambda *asked: 1.1 * attend(*asked))
    with pytest.raises(SelfTestFailed, match=f"{precision} products .* off by 0.* Run with {VARIABLE}=torch"):
        check.self_test.__wrapped__(precision)
    monkeypatch.setattr(TiledKeys, "attend", lambda *asked: attend(*asked) * float("nan"))
    with pytest.raises(SelfTestFailed, match="off by inf"):
        check.self_test.__wrapped__(precision)


def test_the_unit_can_be_left_out_and_other_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert why_unavailable() == f"{VARIABLE}=torch"
    monkeypatch.setenv(VARIABLE, "tiles")
    with pytest.raises(ValueError, match="set it to auto or torch"):
        why_unavailable()


def test_without_a_compiler_the_reason_is_given_and_torch_computes(tmp_path: Path) -> None:
    code = (
        "from relforge.kernels.native import build; from pathlib import Path;"
        "build.ROOT = Path('/nonexistent');"  # an installed library is not found either
        "import torch; from relforge.kernels.amx.library import why_unavailable;"
        "from relforge.models.blip.arithmetic import arithmetic; print(why_unavailable());"
        "print('tiles:', arithmetic(torch.device('cpu'), torch.float32).tiles)"
    )
    environment = {"CXX": "/nonexistent/c++", "XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "no C++ compiler found" in result.stdout or "only x86-64" in result.stdout
    assert "tiles: None" in result.stdout


@tiles
def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path: Path) -> None:
    assert "fine" in report_of(build.PRODUCTS, Path(__file__).with_name("sanitized.cpp"), tmp_path)

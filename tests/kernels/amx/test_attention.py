"""Attention on AMX: what it computes, how exactly, and that a query's bits depend on the query alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from relforge.kernels.amx import reference
from relforge.kernels.amx.attention import PackedKeys
from relforge.kernels.amx.library import Precision
from tests.kernels.amx.numbers import PARTS, normal

pytestmark = pytest.mark.usefixtures("amx")

# queries, keys, heads, width
HEADS = [(1, 1, 1, 1), (7, 5, 2, 16), (10, 33, 3, 64), (35, 64, 2, 40), (100, 577, 1, 64)]


@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("queries", "keys", "heads", "width"), HEADS)
def test_attention_agrees_with_the_reference_for_every_query_by_itself(
    precision: Precision, queries: int, keys: int, heads: int, width: int
) -> None:
    # queries, keys and values are parts of one wide tensor, as a projection leaves them
    projected = 1.5 * normal(max(queries, keys), 3 * heads * width)
    q, k, v = (part[:n] for part, n in zip(projected.chunk(3, 1), (queries, keys, keys), strict=True))
    cache = PackedKeys(2, keys, heads, width, precision)
    cache.write(0, v, k)
    cache.write(1, k, v)
    out = cache.attend(1, q)
    by_head = [part.reshape(-1, heads, width).transpose(0, 1) for part in (q, k, v)]
    expected = reference.attention(by_head[0], by_head[1], by_head[2], PARTS[precision])
    expected = expected.transpose(0, 1).flatten(1)
    # a weight that rounds to the neighbouring bfloat16 because its score differs in the last bit
    assert reference.relative_error(out, expected) < (2e-2 if precision == "bfloat16" else 3e-5)
    for row in range(0, queries, 9):
        assert torch.equal(cache.attend(1, q[row : row + 1])[0], out[row])


def test_rows_of_a_batch_attend_to_their_own_sequence_with_any_number_of_threads(
    with_threads: Callable[[int], None],
) -> None:
    cache = PackedKeys(6, 577, 4, 64)
    queries, out = normal(5, 40, 256), torch.zeros(5, 40, 256)
    for sequence in range(6):
        cache.write(sequence, normal(577, 256, seed=sequence), normal(577, 256, seed=sequence + 10))
    expected = {row: cache.attend(1 + row, queries[row]) for row in (0, 2, 4)}
    for count in (1, 2, 3):
        with_threads(count)
        cache.attend_batch(1, queries, out.zero_(), [4, 0, 2])
        assert all(torch.equal(out[row], single) for row, single in expected.items())
        assert not out[[1, 3]].any()
    with pytest.raises(ValueError, match=r"sequences 2 \+ \[4\] of 6"):
        cache.attend_batch(2, queries, out, [4])


def test_no_queries_give_no_rows() -> None:
    cache = PackedKeys(1, 5, 2, 4)
    cache.write(0, normal(5, 8), normal(5, 8))
    assert cache.attend(0, torch.zeros(0, 8)).shape == (0, 8)
    cache.attend_batch(0, normal(1, 3, 8), torch.zeros(1, 3, 8), [])


def test_one_huge_score_takes_all_the_attention() -> None:
    q, k, v = torch.full((2, 8), 60.0), torch.zeros(40, 8), normal(40, 8)
    k[17] = 60.0
    cache = PackedKeys(1, 40, 1, 8)
    cache.write(0, k, v)
    assert torch.allclose(cache.attend(0, q), v[17].expand(2, 8), rtol=2**-15)


def test_a_nan_among_the_keys_shows_in_every_result() -> None:
    k = normal(40, 50)
    k[7, 3] = float("nan")
    cache = PackedKeys(1, 40, 1, 50)
    cache.write(0, k, normal(40, 50))
    assert cache.attend(0, normal(3, 50)).isnan().all()


def test_misfit_tensors_are_refused_with_what_was_expected() -> None:
    cache = PackedKeys(1, 5, 2, 4)
    with pytest.raises(ValueError, match="expected 5 rows of 8"):
        cache.write(0, torch.zeros(5, 7), torch.zeros(5, 7))
    with pytest.raises(ValueError, match="expected N x 8"):
        cache.attend(0, torch.zeros(3, 7))
    with pytest.raises(ValueError, match=r"take float32 on the CPU, not torch.bfloat16"):
        cache.attend(0, torch.zeros(3, 8, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"rows \[1\] do not fit"):
        cache.attend_batch(0, torch.zeros(1, 3, 8), torch.zeros(1, 3, 8), [1])

"""Counter-based random numbers."""

from __future__ import annotations

import torch
from scipy.stats import kstest

from relforge.models.blip.uniform import derive_random_key, draw_uniform


def numbers(n: int, key: int = 12345) -> torch.Tensor:
    count = torch.arange(n)
    return draw_uniform(torch.full((n,), key), count // 16, count % 16)


def test_philox_gives_its_published_answer() -> None:
    """Random123's known answer for Philox4x32-10 with all-zero key and counter: its first two words."""
    zero = torch.zeros(1, dtype=torch.long)
    assert int(draw_uniform(zero, zero, zero).item() * 2**52) == (0x6627E8D5 << 20) | (0xE169C58D >> 12)


def test_a_number_depends_on_its_own_key_sample_and_step_alone() -> None:
    alone = draw_uniform(torch.tensor([7]), torch.tensor([3]), torch.tensor([5]))
    many = draw_uniform(torch.tensor([1, 7, 9]), torch.tensor([0, 3, 3]), torch.tensor([5, 5, 6]))
    assert alone[0] == many[1]
    assert len({*many.tolist(), *draw_uniform(many.long(), many.long(), many.long()).tolist()}) == 4


def test_numbers_are_uniform_and_strictly_inside() -> None:
    drawn = numbers(100_000)
    assert drawn.min() > 0
    assert drawn.max() < 1
    assert kstest(drawn.numpy(), "uniform").pvalue > 0.001
    assert abs(torch.corrcoef(torch.stack([drawn[:-1], drawn[1:]]))[0, 1]) < 0.01


def test_keys_differ_between_images_and_seeds_and_never_change() -> None:
    assert len({derive_random_key(seed, str(image)) for seed in range(3) for image in range(100)}) == 300
    assert derive_random_key(0, "139") == derive_random_key(0, "139")
    assert derive_random_key(1, "0139") != derive_random_key(10, "139")

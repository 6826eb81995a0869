"""The order of examples: a function of the step, dealt to processes, by aspect ratio where that is asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from relforge.data.order import Order

COCO = ((640, 480), (640, 427), (480, 640), (500, 375), (640, 425), (427, 640), (640, 640), (640, 360))
"""Common sizes of COCO's images, width and height."""


def sizes(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array(COCO)[rng.choice(len(COCO), count, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.07, 0.03, 0.05])]


def test_a_plain_order_is_the_epoch_s_shuffle() -> None:
    order = Order(10, 3, seed=4)
    for epoch in range(2):
        shuffle = np.random.default_rng([4, epoch]).permutation(10)
        steps = [order.examples(3 * epoch + step).tolist() for step in range(3)]
        assert steps == shuffle[:9].reshape(3, 3).tolist()


def test_an_epoch_is_shuffled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order(1000, 10, seed=0)
    made: list[Any] = []
    generator = np.random.default_rng

    def count(seed: Any) -> np.random.Generator:
        made.append(seed)
        return generator(seed)

    monkeypatch.setattr(np.random, "default_rng", count)
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(order.examples, range(100)))
    assert len(made) == 1


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_epoch_by_aspect_holds_the_examples_of_the_plain_one(world_size: int) -> None:
    aspects = np.random.default_rng(1).random(1003)
    dealt = []
    for rank in range(world_size):
        order = Order(1003, 4, 7, rank, world_size, aspects)
        dealt += [order.examples(step) for step in range(order.steps_per_epoch)]
    plain = Order(1003, 4, 7, 0, world_size)
    expected = [plain._shuffle(0)[: plain.steps_per_epoch * 4 * world_size]]
    assert sorted(np.concatenate(dealt).tolist()) == sorted(np.concatenate(expected).tolist())


def test_steps_by_aspect_come_in_no_order() -> None:
    aspects = np.random.default_rng(1).random(4096)
    order = Order(4096, 8, 0, aspects=aspects)
    means = np.array([aspects[order.examples(step)].mean() for step in range(order.steps_per_epoch)])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2
    assert order.examples(3).tolist() != order.examples(3 + order.steps_per_epoch).tolist()


def test_useful_pixels_of_a_mix_of_sizes() -> None:
    shapes = sizes(4000)
    scale = np.random.default_rng(0).choice([480, 800], 4000)  # published: one for each image

    def useful(order: Order, short: np.ndarray | None) -> float:
        own = padded = 0.0
        for step in range(order.steps_per_epoch):
            rows = order.examples(step)
            sides = shapes[rows] / shapes[rows].min(1, keepdims=True)
            sides = sides * (640 if short is None else short[rows][:, None])
            own += sides.prod(1).sum()
            padded += sides.max(0).prod() * len(rows)
        return own / padded

    assert useful(Order(4000, 8, 0), scale) < 0.7
    assert useful(Order(4000, 8, 0, aspects=shapes[:, 0] / shapes[:, 1]), None) > 0.9

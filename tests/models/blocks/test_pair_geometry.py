"""Numbers about how two boxes lie to each other."""

from __future__ import annotations

import pytest
import torch

from relforge.models.blocks.pair_geometry import NUMBERS, PairGeometry, describe_pair


def test_the_numbers_of_a_pair_worked_out_by_hand() -> None:
    subject = torch.tensor([[0.3, 0.5, 0.2, 0.4]])  # x 0.2 to 0.4, y 0.3 to 0.7
    object_ = torch.tensor([[0.4, 0.6, 0.2, 0.2]])  # x 0.3 to 0.5, y 0.5 to 0.7
    found = describe_pair(subject, object_)[0]

    shared, a, b = 0.1 * 0.2, 0.08, 0.04
    assert found[:4].tolist() == pytest.approx([0.5, 0.25, 0.5, 0.25])
    assert float(found[4]) == pytest.approx(0.02**0.5 / (a**0.5 + b**0.5))
    assert found[5:8].tolist() == pytest.approx([shared / (a + b - shared), shared / a, shared / b])
    logs = torch.tensor([b / a, a**0.5, b**0.5, 0.5, 1.0]).log()
    torch.testing.assert_close(found[8:13], logs)
    assert float(found[13]) == pytest.approx(0.3 * 0.4)


def test_a_reversed_pair_differs_and_an_empty_box_gives_numbers() -> None:
    boxes = torch.tensor([[0.3, 0.5, 0.2, 0.4]]), torch.tensor([[0.4, 0.6, 0.2, 0.2]])

    assert not torch.equal(describe_pair(*boxes), describe_pair(*boxes[::-1]))
    assert describe_pair(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)).isfinite().all()


def test_it_changes_nothing_before_it_has_learnt() -> None:
    geometry = PairGeometry(8)
    out = geometry(torch.rand(2, 3, 4), torch.rand(2, 3, 4))

    assert out.shape == (2, 3, 8)
    assert not out.any()
    assert geometry.mix.layers[0].in_features == NUMBERS

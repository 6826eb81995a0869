"""Equal scores of V-COCO: their order is an option."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.evaluation.vcoco import VcocoEvaluator
from relforge.evaluation.vcoco_official import STABLE, _orders


def test_of_equal_scores_the_last_row_comes_first() -> None:
    score, image = np.array([0.5, 0.9, 0.5, 0.5], np.float32), np.zeros(4, int)

    assigning, ranking = _orders(score, image, STABLE)

    assert assigning[ranking].tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize("option", ["ties", "protocol"])
def test_an_unknown_choice_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: 'odd'; choose one of"):
        VcocoEvaluator("vcoco_test.json", **{option: "odd"})  # type: ignore[arg-type]

"""The probability that a relation needs."""

from __future__ import annotations

import pytest

from relforge.stages.parse.learned.parse import Parse
from relforge.stages.parse.learned.tables import Tables
from relforge.trainer.parser.confidence import choose_confidence

TABLES = Tables(["cat", "mat"], ["", "on"], [], {}, {}, {}, [])
GOLD = frozenset({("cat", "on", "mat")})


def parse(confidence: float) -> Parse:
    return Parse(["cat", "on", "mat"], [(0, 0), (2, 2)], relations=[(0, 1, "on", -1, confidence)])


@pytest.mark.parametrize(
    ("wrong", "right", "chosen"), [(0.33, 0.62, 0.35), (0.0, 0.62, 0.05), (0.7, 0.6, 0.0)]
)
def test_what_is_chosen_parts_right_from_wrong_at_the_lowest_value(
    wrong: float, right: float, chosen: float
) -> None:
    parses = [parse(right), parse(right), parse(wrong)]

    assert choose_confidence(parses, TABLES, [GOLD, GOLD, frozenset({("cat",)})]) == chosen

"""Numbers as pixels, 5 x 7 a digit: a font's files differ between machines, this does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = """
.###. ..#.. .###. ##### ...#. ##### ..##. ##### .###. .###.
#...# .##.. #...# ...#. ..##. #.... .#... ....# #...# #...#
#..## ..#.. ....# ..#.. .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ..##. ...#. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. .#... ....# ##### ....# #...# .#... #...# ....#
#...# ..#.. #.... #...# ...#. #...# #...# .#... #...# ...#.
.###. .###. ##### .###. ...#. .###. .###. .#... .###. .##..
"""
_DIGITS = np.array([[list(digit) for digit in row.split()] for row in _ROWS.split("\n")[1:-1]]) == "#"
"""7 rows x 10 digits x 5 columns."""


def draw_number(number: int, scale: int = 1) -> NDArray[np.bool_]:
    """Where a number's strokes are, with a margin of one dot around it.

    Args:
        number: 0 or more.
        scale: pixels of a dot's side.

    Returns:
        (9 scale) x ((6 digits + 1) scale) bool.

    Raises:
        ValueError: a negative number.
    """
    if number < 0:
        raise ValueError(f"a mark's number is 0 or more, not {number}")
    digits = [int(digit) for digit in str(number)]
    strokes = np.zeros((9, 6 * len(digits) + 1), bool)
    for place, digit in enumerate(digits):
        strokes[1:8, 6 * place + 1 : 6 * place + 6] = _DIGITS[:, digit]
    return strokes.repeat(scale, 0).repeat(scale, 1)

"""What a value of a file is good for, whatever its type."""

from __future__ import annotations

import math
import re
from typing import TypeGuard

_LARGE = 2**1000
_EXACT = 2**53  # every integer up to it is a float, and no two are the same one
_DECIMAL = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*", re.ASCII)
_NO, _YES = {"0", "false", "no"}, {"1", "true", "yes"}

UNREADABLE = "\0"
"""In place of a file name that no file can have."""


def as_id(value: object) -> int | str | None:
    """The value where it is an id: an integer, a float that is one (`5.0` is 5), or a text that is not blank;
    None for anything else, `true` and `false` too."""
    if isinstance(value, str):
        text = as_text(value)
        return None if text is None or not text.strip() else text
    return as_integer(value)


def as_integer(value: object) -> int | None:
    """The value where it is an integer, or a float that equals one exactly; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return None


def as_box_id(value: object) -> int:
    """The value where it can be a box's number in the tables, also as text; -1 for anything else."""
    number = as_integer(as_number(value) if isinstance(value, str) else value)
    return number if number is not None and 0 <= number < 2**31 else -1


def as_text(value: object) -> str | None:
    """The value where it is a text that a table can hold; None for anything else: JSON escapes may be half
    a surrogate pair, which no encoding has."""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def as_file_name(value: object) -> str | None:
    """The value where it is a file name, None where there is none, `UNREADABLE` for anything else."""
    if value is None:
        return None
    text = as_text(value)
    return UNREADABLE if text is None or "\0" in text else text


def as_number(value: object) -> float | None:
    """The value where it is a number, or a text that is one in decimal; None for anything else."""
    if isinstance(value, str):
        return float(value) if len(value) < 400 and _DECIMAL.fullmatch(value) else None
    return float(value) if is_number(value) else None


def as_pixels(value: object) -> int:
    """The value where it is a positive number of pixels, or a text that is one, rounded down; 0 for anything
    else."""
    number = as_number(value)
    return int(number) if number is not None and 0 < number < 2**31 else 0


def as_flag(value: object) -> bool | None:
    """The meaning of a flag, as a number or as a text: 0, `false` and no value are no; other
    numbers and `true` are yes. None where it is neither."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, int | float):
        return None if isinstance(value, float) and math.isnan(value) else value != 0
    text = value.strip().lower() if isinstance(value, str) else ""
    return False if text in _NO else True if text in _YES else None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether the value can be a coordinate: an integer too large for a float cannot."""
    return type(value) is float or (type(value) is int and -_LARGE < value < _LARGE)

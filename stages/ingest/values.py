"""What a value of a file is good for, whatever its type."""

from __future__ import annotations

_LARGE = 2**1000


def as_id(value: object) -> int | str | None:
    """The value where it is an id, an integer or a text; None for anything else, `true` and `false` too."""
    if isinstance(value, str):
        return as_text(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_text(value: object) -> str | None:
    """The value where it is a text that a table can hold; None for anything else: JSON's escapes can say half
    a surrogate pair, which no encoding has."""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def as_pixels(value: object) -> int:
    """The value where it is a positive number of pixels, rounded down; 0 for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**31:
        return int(value)
    return 0


def is_number(value: object) -> bool:
    """Whether the value can be a coordinate: an integer too large for a float cannot."""
    return type(value) is float or (type(value) is int and -_LARGE < value < _LARGE)

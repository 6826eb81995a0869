"""Whether the value of an option is of the type that the constructor states."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_PLAIN: dict[object, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("text", (str,)),
}


def option_types(target: Callable[..., Any]) -> dict[str, Any]:
    """Option -> its annotation; without those that only a type checker can read."""
    parts = [target.stage, target.part] if hasattr(target, "stage") and hasattr(target, "part") else [target]
    found: dict[str, Any] = {}
    for part in parts:
        try:
            found |= get_type_hints(part.__init__ if inspect.isclass(part) else part)
        except (NameError, TypeError, AttributeError):
            continue
    return found


def describe_mismatch(value: object, stated: Any) -> str | None:
    """What was expected, where `value` is of another type than stated; None where it fits.

    Numbers, texts, truth values, lists and mappings of them are checked; None and other types always fit.
    """
    expected = [] if value is None else _expected(value, stated)
    return " or ".join(dict.fromkeys(expected)) or None


def _expected(value: object, stated: Any) -> list[str]:
    """Descriptions of what would fit; none where `value` does."""
    origin, arguments = get_origin(stated), get_args(stated)
    if origin in (Union, UnionType):
        choices = [_expected(value, one) for one in arguments if one is not type(None)]
        return [] if not all(choices) else [what for choice in choices for what in choice]
    if origin is Literal:
        return [] if value in arguments else [f"one of {', '.join(map(str, arguments))}"]
    if stated in _PLAIN:
        what, types = _PLAIN[stated]
        is_truth = isinstance(value, bool) and stated is not bool
        return [] if isinstance(value, types) and not is_truth else [what]
    if not inspect.isclass(origin):
        return []
    if issubclass(origin, Mapping):
        fits = isinstance(value, Mapping) and not any(_expected(one, arguments[1]) for one in value.values())
        return [] if fits else ["a mapping"]
    if issubclass(origin, Sequence):
        of = _expected(object(), arguments[0])
        fits = isinstance(value, list | tuple) and not any(_expected(one, arguments[0]) for one in value)
        return [] if fits else [f"a list of {' or '.join(of)}" if of else "a list"]
    return []

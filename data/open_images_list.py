"""Open Images' relations as a converted HICO-style list (`OI_SGG_test.json` of RLIPv2) and its file of
names."""

from __future__ import annotations

from typing import Any

from relforge.data.hoi import HoiData
from relforge.data.hoi_json import load_json, read_hoi_json

_MOST = 100_000
"""Names that a list may have; a larger number is no place in one."""


def read_converted(annotations: str, categories: str) -> HoiData:
    """A converted list.

    Raises:
        ValueError: a file of another form, or no `categories`.
        OSError: a file cannot be read.
    """
    if not categories:
        raise ValueError(f"{annotations} has numbers for names: give categories=FILE with obj and rel")
    document = load_json(categories)
    try:
        objects, predicates = (_names(document[key]) for key in ("obj", "rel"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{categories}: expected lists of names under obj and rel: {error!r}") from error
    codes, verb_codes = (dict(enumerate(range(len(names)))) for names in (objects, predicates))
    return read_hoi_json(annotations, objects, predicates, codes, verb_codes, "rel_annotations")


def _names(given: Any) -> list[str]:
    """Names by number, from a list, {name: number} or {number: name}."""
    if isinstance(given, list):
        return [str(name) for name in given]
    if all(isinstance(value, int) for value in given.values()):
        given = {number: name for name, number in given.items()}
    by_number = {int(number): str(name) for number, name in given.items()}
    if not all(0 <= number < _MOST for number in by_number):
        raise ValueError(f"a number outside 0 to {_MOST}")
    return [by_number.get(number, "") for number in range(max(by_number) + 1)]

"""Tables of interactions: the (verb, object) classes that whole images are labelled with."""

from __future__ import annotations

from pathlib import Path

from relforge.limited_yaml import YamlError, read_yaml
from relforge.stages.hico_lists import read_lists

HICO600 = "hico600"
"""HICO's 600, in its order."""

Interactions = tuple[tuple[str, str], ...]


class InteractionsError(ValueError):
    """A table that cannot be used; the message names file and fix."""


def read_interactions(table: str) -> Interactions:
    """A table of interactions.

    Args:
        table: `hico600`, or a YAML or JSON file: a list of [verb, object].

    Raises:
        InteractionsError: it cannot be read, holds something else, or repeats an interaction.
    """
    if table == HICO600:
        lists = read_lists()
        verbs, objects = lists["verbs"], lists["objects"]
        return tuple((verbs[verb], objects[object_]) for verb, object_ in lists["interactions"])
    try:
        values = read_yaml(Path(table).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise InteractionsError(f"interactions {table!r}: {error}; give hico600 or a YAML file") from error
    rows = values if isinstance(values, list) else []
    found = tuple(
        (row[0], row[1])
        for row in rows
        if isinstance(row, list) and len(row) == 2 and all(isinstance(name, str) and name for name in row)
    )
    if not found or len(found) != len(rows):
        raise InteractionsError(f"{table}: expected a list of [verb, object], such as `- [ride, horse]`")
    if len(set(found)) != len(found):
        repeated = next(row for row in found if found.count(row) > 1)
        raise InteractionsError(f"{table}: {list(repeated)} is listed twice; remove one")
    return found

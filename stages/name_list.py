"""Names that an option gives: a list, or a file with one per line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def read_names(names: Sequence[str] | str | None, option: str) -> tuple[str, ...]:
    """The names; none where the option is left out.

    Raises:
        ValueError: the file cannot be read or has none.
    """
    if names is None:
        return ()
    if not isinstance(names, str):
        return tuple(names)
    path = Path(names).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be read: {error.strerror}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise ValueError(f"{option}: {path} names nothing; write one name a line")
    return found

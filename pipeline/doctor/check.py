"""One line of the doctor's findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "broken"]


@dataclass(frozen=True)
class Check:
    """A finding.

    Args:
        topic: group of the check, e.g. `versions`.
        name: what was checked.
        state: `ok`; `absent`, which only some runs need; `broken`, which no run survives.
        detail: what was found, and the fix where something is to be done.
    """

    topic: str
    name: str
    state: State
    detail: str

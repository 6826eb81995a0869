"""Profiles: what `fixed` and `compat` set, switch by switch.

The published scripts have defects that change labels. `fixed` does the right thing; `compat` reproduces
the published behaviour for comparison with released files. A switch is an ordinary option of a backend:
a config that names it wins over the profile, and run.json records the value either way.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

SWITCHES: dict[str, dict[str, tuple[Any, Any]]] = {
    "parse": {"lower_spans": (False, True)},
    "match": {"method": ("boundary", "substring")},
    "tag": {"texts": ("own", "union")},
    "select": {"deduplicate": ("max", "none")},
}
"""stage -> option -> (value under `fixed`, value under `compat`)."""


def switches(stage: str, profile: str, accepted: Collection[str]) -> dict[str, Any]:
    """What the profile sets on a backend of `stage` that takes the options `accepted`."""
    which = 0 if profile == "fixed" else 1
    table = SWITCHES.get(stage, {})
    return {option: values[which] for option, values in table.items() if option in accepted}

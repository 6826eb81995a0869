"""What accounts of shards come to when they are added up: numbers by name.

Of a million sidecars only their sums are shown, so whatever is summed is a number here, and no sidecar needs
to be read for it that a manifest holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from relforge.pipeline.store.sidecar import Sidecar

KINDS = ("images", "boxes", "captions")
RECORDS = "records"
ORDER = (*KINDS, "relations", RECORDS)
"""Kinds of input. What is lost with the first is lost in the others too, so the first is named."""

ROWS_IN, ROWS_OUT = "rows_in", "rows_out"
DROPPED, QUARANTINED = "dropped/", "quarantined/"
"""Followed by a reason."""
ANSWERS, TOKENS = "answers/", "tokens/"
"""Followed by a verdict, and by `input` or `output`."""
WITHOUT_RELATION = "without_relation"


def read_name(kind: str) -> str:
    """How much of a kind of input is noted as read."""
    return f"losses/{kind}/read"


def lost_name(kind: str) -> str:
    """How much of it is noted as lost; followed by a reason."""
    return f"losses/{kind}/lost/"


def noting_name(kind: str) -> str:
    """What `rows_in` and `quarantined/` come to in those accounts that note losses of that kind themselves,
    for records of any kind; followed by these names."""
    return f"noting/{kind}/"


def count(account: Sidecar) -> Counter[str]:
    """What is added up of an account."""
    found = Counter({ROWS_IN: account.rows_in, ROWS_OUT: account.rows_out})
    found.update(_prefixed(DROPPED, account.dropped))
    found.update(_prefixed(QUARANTINED, account.quarantined))
    for name in (ANSWERS, TOKENS):
        noted = account.notes.get(name.rstrip("/"))
        if isinstance(noted, dict):
            found.update(_prefixed(name, {k: n for k, n in noted.items() if isinstance(n, int)}))
    if isinstance(without := account.notes.get(WITHOUT_RELATION), int):
        found[WITHOUT_RELATION] += without
    losses = account.notes.get("losses")
    if isinstance(losses, dict) and all(map(_is_loss, losses.values())):
        known = {kind: loss for kind, loss in losses.items() if kind in ORDER}
        for kind, loss in known.items():
            found[read_name(kind)] += loss["read"]
            found.update(_prefixed(lost_name(kind), loss["lost"]))
        for kind in {*known, RECORDS}:
            found[noting_name(kind) + ROWS_IN] += account.rows_in
            found.update(_prefixed(noting_name(kind) + QUARANTINED, account.quarantined))
    return found


def pick(counts: Mapping[str, int], prefix: str) -> Counter[str]:
    """Those that begin so, without it."""
    return Counter({name[len(prefix) :]: n for name, n in counts.items() if name.startswith(prefix)})


def _prefixed(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {prefix + name: number for name, number in counts.items()}


def _is_loss(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("read"), int):
        return False
    lost = value.get("lost")
    return isinstance(lost, dict) and all(isinstance(number, int) for number in lost.values())

"""One line of a result: a case against its peer, over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]


def rows(
    case: str, peer: str, found: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]
) -> list[Row]:
    """One row per measure, with mean, lowest and highest over the seeds.

    Args:
        case: name of the variant.
        peer: name of the variant that it is compared with.
        found: measures of every seed; one entry where no seed plays a part.
        theirs: the peer's.
    """
    out = []
    for measure in found[0]:
        values = [one[measure] for one in found]
        ours, other = statistics.mean(values), statistics.mean([one[measure] for one in theirs])
        row = {"case": f"{case}: {measure}", "peer": peer, "ours": ours, "theirs": other}
        row |= {"ratio": ours / other if other else None}
        out.append(row | {"lowest": min(values), "highest": max(values), "seeds": len(values)})
    return out

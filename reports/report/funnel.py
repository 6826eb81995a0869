"""The survival funnel: rows at every step, and every loss under its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relforge.pipeline.store.sidecar import Sidecar

_NOT_COUNTED = ("gold", "classes")
"""Gold, which labels are evaluated with, and the list of classes, which every shard repeats."""


@dataclass(frozen=True)
class Step:
    """One stage of the run.

    Args:
        stage: its name.
        rows_in: rows of its primary input (records of the source for ingest).
        kept: those that were processed.
        dropped, quarantined: the others, by reason.
        rows_out: table -> rows written.
        seconds, cpu_seconds, gpu_seconds: of its workers, summed; 0 where a run does not record them.
    """

    stage: str
    rows_in: int
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    rows_out: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0

    @property
    def lost(self) -> int:
        return sum(self.dropped.values()) + sum(self.quarantined.values())


def sum_accounts(stage: str, accounts: Mapping[str, Iterable[Sidecar]]) -> Step:
    """Sum the accounts of one stage.

    Args:
        accounts: table the stage writes -> sidecars of its shards. The sidecars of all tables of a stage
            count the same input rows, so those of the first table are summed.
    """
    rows_in = kept = 0
    dropped: Counter[str] = Counter()
    quarantined: Counter[str] = Counter()
    rows_out = {}
    seconds = cpu_seconds = gpu_seconds = 0.0
    for place, (table, sidecars) in enumerate(accounts.items()):
        rows_out[table] = 0
        for one in sidecars:
            rows_out[table] += one.rows_out
            if place == 0:
                rows_in, kept = rows_in + one.rows_in, kept + one.kept
                seconds, cpu_seconds = seconds + one.seconds, cpu_seconds + one.cpu_seconds
                gpu_seconds += one.gpu_seconds
                dropped.update(one.dropped)
                quarantined.update(one.quarantined)
    lost = _ordered(dropped), _ordered(quarantined)
    return Step(stage, rows_in, kept, *lost, rows_out, seconds, cpu_seconds, gpu_seconds)


def count_rows(steps: Iterable[Step]) -> dict[str, int]:
    """Rows of every table, in the order of the steps; before `candidates`, the `matched triplets` that led to
    one: a triplet gives several candidates, so candidates alone do not show how many triplets were lost."""
    found: dict[str, int] = {}
    for one in steps:
        for table, rows in one.rows_out.items():
            if table == "candidates":
                found["matched triplets"] = one.kept
            if table not in _NOT_COUNTED:
                found[table] = rows
    return found


COST = ("stage", "worker hours", "CPU hours", "GPU hours", "CPU seconds per 1,000 images")


def list_costs(steps: Iterable[Mapping[str, Any]], images: int) -> list[tuple[str, str, str, str, str]]:
    """What each stage and the whole run took, as `COST` names it; a dash where it was not recorded.

    Args:
        steps: `Step`s as mappings.
        images: of the run.
    """
    rows = [(one["stage"], one["seconds"], one["cpu_seconds"], one["gpu_seconds"]) for one in steps]
    rows.append(("all", *(sum(row[place] for row in rows) for place in (1, 2, 3))))
    return [
        (
            stage,
            f"{seconds / 3600:.3f}",
            f"{cpu / 3600:.3f}" if cpu else "-",
            f"{gpu / 3600:.3f}" if gpu else "-",
            f"{cpu / images * 1000:,.1f}" if cpu and images else "-",
        )
        for stage, seconds, cpu, gpu in rows
    ]


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

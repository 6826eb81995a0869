"""What a run or a rerun has to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relforge.pipeline.run.findings import State
from relforge.pipeline.run.job import INGEST
from relforge.pipeline.run.survey import Survey


@dataclass(frozen=True)
class Work:
    """Steps and shards to go through.

    Args:
        steps: names of the steps that may have something to do, in order.
        shards: which shards; None: all that ingest brings.
        forced: step -> shards to redo although they are done.
    """

    steps: tuple[str, ...]
    shards: tuple[int, ...] | None
    forced: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not self.steps

    def reasons(self, survey: Survey) -> dict[str, dict[str, int]]:
        """step -> state -> how many of the shards known of now have to be made."""
        found: dict[str, dict[str, int]] = {}
        for name in self.steps:
            states = survey.findings(name).count(self.shards)
            forced = self.forced.get(name, frozenset()).intersection(
                survey.indices if self.shards is None else self.shards
            )
            redo = sum(survey.finding(name, shard).state == State.DONE for shard in forced)
            del states[State.DONE]
            found[name] = {state.value: count for state, count in states.items()}
            if redo:
                found[name]["redo"] = redo
        return found


def to_complete(survey: Survey) -> Work:
    """All that is missing, stale or broken, and what descends from it."""
    plan = survey.plan
    undone = {step.name: survey.undone(step.name) for step in plan.steps}
    if survey.shards is None or undone[INGEST]:
        return Work(tuple(step.name for step in plan.steps), None)
    touched = {name for name, shards in undone.items() if shards}
    shards = sorted({shard for found in undone.values() for shard in found})
    return Work(tuple(step.name for step in plan.steps if step.name in touched), tuple(shards))

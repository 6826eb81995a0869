"""Which shards are done, from the folder alone."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from relforge.pipeline.errors import BrokenShard, RunError
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.run.sums import Sums, sum_up
from relforge.pipeline.store.entry import Entry, Facts
from relforge.pipeline.store.fingerprint import dataset_hash, ingest_fingerprint, shard_fingerprint
from relforge.pipeline.store.quarantine import find_problem
from relforge.pipeline.store.run_folder import INGEST_MANIFEST, RunFolder
from relforge.pipeline.store.sidecar import Sidecar


class State(StrEnum):
    """What one shard of one stage is."""

    DONE = "done"
    MISSING = "missing"
    """Nothing there."""
    STALE = "stale"
    """Committed, but for another config, code version or input, or something before it is not done."""
    BROKEN = "broken"
    """Data and sidecar do not belong together."""
    RUNNING = "running"
    """Not done, and a worker of a living driver has begun it."""


@dataclass(frozen=True)
class Finding:
    """A state and, unless it is done or missing, the reason."""

    state: State
    why: str = ""


_DONE, _MISSING = Finding(State.DONE), Finding(State.MISSING)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for reference cycles, of which these millions of objects have none: it takes a fifth
    of the time of a large folder."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Survey:
    """The state of a whole run folder. Nothing is read but listings, sidecars, and quarantine files that
    changed since they were written.

    Args:
        folder: the run folder.
        plan: what should be there.
        verify: also read all data and compare it with its sidecar.
        footers: also read the end of every data file, and all of those that changed since they were written;
            nothing of those that did not change since the table's manifest was made.
    """

    def __init__(self, folder: RunFolder, plan: Plan, *, verify: bool = False, footers: bool = False) -> None:
        with _uncollected():
            self._read(folder, plan, verify, footers)

    def _read(self, folder: RunFolder, plan: Plan, verify: bool, footers: bool) -> None:
        self.plan = plan
        self.entries: dict[str, dict[int, Entry]] = folder.for_each(
            plan.tables, lambda table: folder.survey(table, compacted=not verify)
        )
        if verify:
            self.entries = {
                t: _verified(folder, t, found, plan.spec(t).schema) for t, found in self.entries.items()
            }
        elif footers:
            self.entries = {t: _glanced(folder, t, found) for t, found in self.entries.items()}
        # listed after the sidecars were read, which are published later: never older than they say
        self._quarantine = {step.name: self._quarantine_problems(folder, step, verify) for step in plan.steps}
        manifest = folder.read_json(INGEST_MANIFEST)
        if manifest is not None and not _is_manifest(manifest):
            raise folder.damaged(INGEST_MANIFEST, "it needs `key`, a text, and `shards`, a number")
        current = manifest is not None and manifest.get("key") == plan.ingest.key
        self.shards: int | None = manifest["shards"] if manifest and current else None
        """How many shards the dataset has; None until ingest has reached its end."""
        self._findings: dict[str, dict[int, Finding]] = {}
        self._sums: dict[str, Sums] = {}
        for step in plan.steps:
            parents = [self._findings[parent.name] for parent in plan.parents(step)]
            self._findings[step.name] = {shard: self._judge(step, parents, shard) for shard in self.indices}

    @property
    def indices(self) -> range:
        """Every shard index known of: all of them once ingest is complete, else those on disk."""
        if self.shards is not None:
            return range(self.shards)
        ingested = (shards for table in self.plan.ingest.outputs for shards in self.entries[table])
        return range(max(ingested, default=-1) + 1)

    def check_known(self, shards: Iterable[int], uri: str) -> None:
        """Refuse shards that are not known of.

        Raises:
            RunError: names them, the run folder `uri`, and the shards it has.
        """
        unknown = sorted(set(shards) - set(self.indices))
        if unknown:
            last = len(self.indices) - 1
            has = "it has none yet" if last < 0 else "it has shard 0" if not last else f"it has 0 to {last}"
            raise RunError(f"no shard {', '.join(map(str, unknown))} in {uri}; {has}")

    def finding(self, stage: str, shard: int) -> Finding:
        """State of one shard of one stage."""
        return self._findings[stage].get(shard, _MISSING)

    def with_state(self, stage: str, *states: State) -> list[int]:
        """Shards of a stage in any of these states."""
        return [shard for shard, found in self._findings[stage].items() if found.state in states]

    def undone(self, stage: str) -> list[int]:
        """Shards of a stage that have to be made."""
        return [shard for shard, found in self._findings[stage].items() if found.state != State.DONE]

    def accounts(self, step: StagePlan, table: str | None = None) -> Iterator[Sidecar]:
        """The done shards' accounts of one of the stage's tables (the first), one after the other."""
        entries = self.entries[table or step.outputs[0]]
        for shard in self.with_state(step.name, State.DONE):
            sidecar = entries[shard].sidecar
            assert sidecar is not None  # or the shard were not done
            yield sidecar

    def sums(self, step: StagePlan) -> Sums:
        """What the done shards' accounts of the stage's first table come to; they are read once."""
        if step.name not in self._sums:
            self._sums[step.name] = sum_up(step, self.accounts(step))
        return self._sums[step.name]

    def rows(self, step: StagePlan, table: str) -> int:
        """Rows of a table in its done shards."""
        entries, done = self.entries[table], self.with_state(step.name, State.DONE)
        return sum(facts.rows_out for shard in done if (facts := entries[shard].facts))

    def sidecars(self, step: StagePlan) -> dict[int, Sidecar]:
        """The same of the first table, by shard: all in memory at once."""
        return dict(zip(self.with_state(step.name, State.DONE), self.accounts(step), strict=True))

    def loose(self, table: str) -> int:
        """How many sidecars of a table had to be read one by one."""
        return sum(not entry.compacted for entry in self.entries[table].values())

    @property
    def complete(self) -> bool:
        """Every stage of every shard done, and ingest at its end."""
        return self.shards is not None and not any(self.undone(step.name) for step in self.plan.steps)

    def dataset_hash(self, tables: Iterable[str] | None = None) -> str:
        """Hash over the content of the done shards of all tables and their quarantined records, or of these
        tables alone."""
        contents: dict[str, dict[int, str]] = {}
        for step in self.plan.steps:
            done = self.with_state(step.name, State.DONE)
            for table in step.outputs:
                entries = self.entries[table]
                contents[table] = {s: facts.content for s in done if (facts := entries[s].facts)}
            entries = self.entries[step.outputs[0]]
            set_aside = {
                shard: facts.quarantine.content
                for shard in done
                if (facts := entries[shard].facts) and facts.quarantine and facts.quarantine.content
            }
            if set_aside:
                contents[f"quarantine/{step.name}"] = set_aside
        return dataset_hash({t: contents[t] for t in (tables or contents)})

    def _quarantine_problems(self, folder: RunFolder, step: StagePlan, verify: bool) -> dict[int, str]:
        """Shard -> what is wrong with its file of quarantined records, from the account in its sidecars."""
        files = folder.storage.listing(f"quarantine/{step.name}")
        found = {}
        for shard, entry in self.entries[step.outputs[0]].items():
            if not entry.problem and (facts := entry.facts):
                file = files.get(f"part-{shard:05d}.parquet")
                account = facts.quarantine
                if problem := find_problem(folder, step.name, shard, account, file, verify):
                    found[shard] = problem
        return found

    def _judge(self, step: StagePlan, parents: Sequence[Mapping[int, Finding]], shard: int) -> Finding:
        entries = [self.entries[table].get(shard) for table in step.outputs]
        if not any(entries):
            return _MISSING
        for table, entry in zip(step.outputs, entries, strict=True):
            problem = entry.problem if entry else "missing while other tables of the stage are there"
            if problem:
                return Finding(State.BROKEN, f"{table}: {problem}")
        if problem := self._quarantine[step.name].get(shard):
            return Finding(State.BROKEN, f"quarantine: {problem}")
        for findings, parent in zip(parents, self.plan.parents(step), strict=True):
            if findings.get(shard, _MISSING).state != State.DONE:
                return Finding(State.STALE, f"{parent.name} has to be redone first")
        inputs = {t: facts for t in step.inputs if (e := self.entries[t].get(shard)) and (facts := e.facts)}
        expected = expected_fingerprint(step, shard, inputs)
        for table, entry in zip(step.outputs, entries, strict=True):
            if entry and (facts := entry.facts) and facts.fingerprint != expected:
                return Finding(State.STALE, f"{table}: made from another config, code version or input")
        return _DONE


def expected_fingerprint(step: StagePlan, shard: int, inputs: Mapping[str, Sidecar | Facts]) -> str:
    """The fingerprint a shard of that step should carry, given its input shards' sidecars."""
    if not step.inputs:
        return ingest_fingerprint(step.key, shard)
    return shard_fingerprint(step.key, {table: inputs[table].content for table in step.inputs})


def _verified(
    folder: RunFolder, table: str, entries: dict[int, Entry], schema: pa.Schema
) -> dict[int, Entry]:
    checked = {}
    for shard, entry in entries.items():
        if entry.sidecar and not entry.problem:
            try:
                folder.read_table(table, shard, entry.sidecar, schema)
            except BrokenShard as error:
                entry = replace(entry, problem=error.why)
        checked[shard] = entry
    return checked


def _glanced(folder: RunFolder, table: str, entries: dict[int, Entry]) -> dict[int, Entry]:
    """The entries after a look at the end of each data file, and at all of one that changed."""

    def look(shard: int) -> Entry:
        entry = entries[shard]
        if entry.compacted or entry.problem or not entry.sidecar:
            return entry
        try:
            if entry.sidecar.modified not in ("", entry.modified):
                folder.read_data(table, shard, entry.sidecar)
            else:
                folder.check_footer(table, shard, entry.sidecar)
        except BrokenShard as error:
            return replace(entry, problem=error.why)
        return entry

    return folder.for_each(list(entries), look)


def _is_manifest(value: Mapping[str, Any]) -> bool:
    shards = value.get("shards")
    return isinstance(value.get("key"), str) and type(shards) is int and shards >= 0

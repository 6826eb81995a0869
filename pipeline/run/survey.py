"""Which shards are done, from the folder alone."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from relforge.pipeline.errors import BrokenShard, RunError
from relforge.pipeline.run.findings import Finding, Findings, State
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.run.sums import Sums
from relforge.pipeline.store.entries import Entries
from relforge.pipeline.store.entry import Entry
from relforge.pipeline.store.fingerprint import (
    dataset_hash,
    ingest_fingerprint,
    ingest_fingerprints,
    shard_fingerprint,
    shard_fingerprints,
)
from relforge.pipeline.store.quarantine import find_problems, list_contents
from relforge.pipeline.store.run_folder import INGEST_MANIFEST, RunFolder
from relforge.pipeline.store.sidecar import Sidecar


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
        self.entries: dict[str, Entries] = folder.for_each(
            plan.tables, lambda table: folder.survey(table, compacted=not verify)
        )
        for table, entries in self.entries.items():
            if verify:
                self.entries[table] = entries.replace(_verified(folder, table, entries.loose, plan))
            elif footers:
                self.entries[table] = entries.replace(_glanced(folder, table, entries.loose))
        # listed after the sidecars were read, which are published later: never older than they say
        quarantine = {
            step.name: find_problems(folder, step.name, self.entries[step.outputs[0]], verify)
            for step in plan.steps
        }
        manifest = folder.read_json(INGEST_MANIFEST)
        if manifest is not None and not _is_manifest(manifest):
            raise folder.damaged(INGEST_MANIFEST, "it needs `key`, a text, and `shards`, a number")
        current = manifest is not None and manifest.get("key") == plan.ingest.key
        self.shards: int | None = manifest["shards"] if manifest and current else None
        """How many shards the dataset has; None until ingest has reached its end."""
        self._findings: dict[str, Findings] = {}
        self._counts: dict[tuple[str, str], Counter[str]] = {}
        for step in plan.steps:
            self._findings[step.name] = self._judge(step, quarantine[step.name])

    @property
    def indices(self) -> range:
        """Every shard index known of: all of them once ingest is complete, else those on disk."""
        if self.shards is not None:
            return range(self.shards)
        ingested = (self.entries[table].shards[-1:].tolist() for table in self.plan.ingest.outputs)
        return range(max((last for found in ingested for last in found), default=-1) + 1)

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

    def findings(self, stage: str) -> Findings:
        """States of a stage's shards."""
        return self._findings[stage]

    def finding(self, stage: str, shard: int) -> Finding:
        """State of one shard of one stage."""
        return self._findings[stage][shard]

    def with_state(self, stage: str, *states: State) -> list[int]:
        """Shards of a stage in any of these states."""
        found: list[int] = np.flatnonzero(self._findings[stage].are(*states)).tolist()
        return found

    def undone(self, stage: str) -> list[int]:
        """Shards of a stage that have to be made."""
        found: list[int] = np.flatnonzero(~self._findings[stage].done).tolist()
        return found

    def accounts(self, step: StagePlan, table: str | None = None) -> Iterator[Sidecar]:
        """The done shards' accounts of one of the stage's tables (the first), one after the other."""
        entries = self.entries[table or step.outputs[0]]
        for shard in self.with_state(step.name, State.DONE):
            sidecar = entries[shard].sidecar
            assert sidecar is not None  # or the shard were not done
            yield sidecar

    def counts(self, step: StagePlan, table: str | None = None) -> Counter[str]:
        """What the done shards' accounts of one of the stage's tables (the first) come to: `counts.count`."""
        table = table or step.outputs[0]
        if (step.name, table) not in self._counts:
            self._counts[step.name, table] = self.entries[table].sum(self._findings[step.name].done)
        return self._counts[step.name, table]

    def sums(self, step: StagePlan) -> Sums:
        """The same of the first table, by meaning."""
        return Sums.of(step, self.counts(step))

    def finished(self, step: StagePlan) -> np.ndarray:
        """When each done shard of the stage was, seconds since the epoch."""
        return self.entries[step.outputs[0]].finished(self._findings[step.name].done)

    def sidecars(self, step: StagePlan) -> dict[int, Sidecar]:
        """The accounts of the first table, by shard: all in memory at once."""
        return dict(zip(self.with_state(step.name, State.DONE), self.accounts(step), strict=True))

    def loose(self, table: str) -> int:
        """How many sidecars of a table had to be read one by one."""
        return len(self.entries[table].loose)

    @property
    def complete(self) -> bool:
        """Every stage of every shard done, and ingest at its end."""
        return self.shards is not None and all(found.done.all() for found in self._findings.values())

    def dataset_hash(self, tables: Iterable[str] | None = None) -> str:
        """Hash over the content of the done shards of all tables and their quarantined records, or of these
        tables alone."""
        contents: dict[str, Callable[[], Iterable[tuple[int, str]]]] = {}
        for step in self.plan.steps:
            done = self._findings[step.name].done
            for table in step.outputs:
                contents[table] = partial(self.entries[table].contents, done)
            if set_aside := list_contents(self.entries[step.outputs[0]], done):
                contents[f"quarantine/{step.name}"] = set_aside.items
        return dataset_hash({name: contents[name] for name in (tables or contents)})

    def _judge(self, step: StagePlan, quarantine: Mapping[int, str]) -> Findings:
        """What is said last holds, so what matters most comes last."""
        number = len(self.indices)
        found = Findings(number)
        inputs = {table: self.entries[table].texts("content", number) for table in step.inputs}
        expected = pa.array(_expected_fingerprints(step, number, inputs), pa.string())
        for table in reversed(step.outputs):
            same = pc.equal(self.entries[table].texts("fingerprint", number), expected)
            other = ~pc.fill_null(same, False).to_numpy(zero_copy_only=False)
            found.mark(other, State.STALE, f"{table}: made from another config, code version or input")
        for parent in reversed(self.plan.parents(step)):
            undone = ~self._findings[parent.name].done
            found.mark(undone, State.STALE, f"{parent.name} has to be redone first")
        found.mark_broken(quarantine, "quarantine")
        there = {table: self.entries[table].has(number) for table in step.outputs}
        for table in reversed(step.outputs):
            loose = self.entries[table].loose.items()
            found.mark_broken({shard: one.problem for shard, one in loose if one.problem}, table)
            alone = f"{table}: missing while other tables of the stage are there"
            found.mark(~there[table], State.BROKEN, alone)
        found.mark(~np.logical_or.reduce(list(there.values())), State.MISSING)
        return found


def _expected_fingerprints(step: StagePlan, number: int, inputs: Mapping[str, pa.StringArray]) -> list[str]:
    """Of the shards 0 to `number` - 1."""
    if not step.inputs:
        return ingest_fingerprints(step.key, number)
    return shard_fingerprints(step.key, {table: found.to_pylist() for table, found in inputs.items()})


def expected_fingerprint(step: StagePlan, shard: int, inputs: Mapping[str, Sidecar]) -> str:
    """The fingerprint a shard of that step should carry, given its input shards' sidecars."""
    if not step.inputs:
        return ingest_fingerprint(step.key, shard)
    return shard_fingerprint(step.key, {table: inputs[table].content for table in step.inputs})


def _verified(folder: RunFolder, table: str, entries: Mapping[int, Entry], plan: Plan) -> dict[int, Entry]:
    """The entries after reading all data."""
    checked = {}
    for shard, entry in entries.items():
        if entry.sidecar and not entry.problem:
            try:
                folder.read_table(table, shard, entry.sidecar, plan.spec(table).schema)
            except BrokenShard as error:
                entry = replace(entry, problem=error.why)
        checked[shard] = entry
    return checked


def _glanced(folder: RunFolder, table: str, entries: Mapping[int, Entry]) -> dict[int, Entry]:
    """The entries after a look at the end of each data file, and at all of one that changed."""

    def look(shard: int) -> Entry:
        entry = entries[shard]
        if entry.problem or not entry.sidecar:
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

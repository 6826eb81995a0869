"""The steps of a run in order, with the key of each: everything a worker needs.

The graph is not written down anywhere: a stage comes after the stages that write the tables it reads, and
two stages may read the same table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import msgspec

from relforge import __version__
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import INGEST, Job
from relforge.pipeline.run.stage_plan import INGEST_TABLES, StagePlan, order_stages
from relforge.pipeline.store.file_hash import FileHash, hash_file
from relforge.pipeline.store.fingerprint import stage_key
from relforge.pipeline.store.run_folder import RUN_FILE, RunFolder
from relforge.stages.contract import Source, Stage, neutral_options
from relforge.stages.tables import TABLES, TableSpec

RECORD_FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """The job and its steps in order, ingest first."""

    job: Job
    steps: tuple[StagePlan, ...]

    @property
    def ingest(self) -> StagePlan:
        return self.steps[0]

    @property
    def stages(self) -> tuple[StagePlan, ...]:
        """The steps after ingest."""
        return self.steps[1:]

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table of the run, in the order they are written."""
        return tuple(table for step in self.steps for table in step.outputs)

    def spec(self, table: str) -> TableSpec:
        """Columns and order of a table of this run."""
        return (
            next((step.schemas[table] for step in self.steps if table in step.schemas), None) or TABLES[table]
        )

    def step(self, name: str) -> StagePlan:
        """The step of that name; RunError names the choices."""
        for step in self.steps:
            if step.name == name:
                return step
        raise RunError(f"this run has no stage {name!r}; it has {', '.join(s.name for s in self.steps)}")

    def parents(self, step: StagePlan) -> tuple[StagePlan, ...]:
        """The steps that write what `step` reads."""
        return tuple(other for other in self.steps if set(other.outputs) & set(step.inputs))

    def descendants(self, name: str) -> tuple[str, ...]:
        """Names of all steps that read, directly or not, what `name` writes; in order."""
        found = [name]
        for step in self.steps:
            if any(parent.name in found for parent in self.parents(step)):
                found.append(step.name)
        return tuple(found[1:])

    def ancestors(self, name: str) -> frozenset[str]:
        """Names of all steps whose tables `name` reads, directly or not."""
        return frozenset(step.name for step in self.steps if name in self.descendants(step.name))

    def to_record(self) -> dict[str, Any]:
        """`run.json`."""
        record = {
            "format": RECORD_FORMAT,
            "code_version": __version__,
            "dataset": self.job.dataset,
            "profile": self.job.profile,
            "seed": self.job.seed,
            "dataset_fingerprint": self.ingest.key,
            "job": self.job.to_dict(),
            "steps": [step.to_record() for step in self.steps],
        }
        value: dict[str, Any] = json.loads(json.dumps(record, default=str))  # tuples become lists, as on disk
        return value

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Plan:
        """The plan that `to_record` wrote: nothing is built and no file is read.

        Raises:
            RunError: written by another format of run folder.
        """
        if record.get("format") != RECORD_FORMAT:
            raise RunError(
                f"run.json has format {record.get('format')!r}, this version reads {RECORD_FORMAT}; "
                "use the relforge version that made it, or start a new run folder"
            )
        steps = tuple(StagePlan.from_record(step) for step in record["steps"])
        return cls(Job.from_dict(record["job"]), steps)


def load_plan(folder: RunFolder) -> Plan:
    """The plan of a run folder; RunError when there is none, or names `run.json` and what is wrong in it."""
    return read_plan(folder, folder.record())


def read_plan(folder: RunFolder, record: Mapping[str, Any]) -> Plan:
    """The plan in a folder's `run.json`, every field checked that is read from it.

    Raises:
        RunError: damaged, or written by another format of run folder.
    """
    try:
        record["format"]
        plan = Plan.from_record(record)
        msgspec.convert(record["steps"], list[_StepRecord])
        msgspec.convert(record["job"], Job)
        for step in plan.steps:
            for table in (*step.inputs, *step.outputs):
                plan.spec(table)
        if not plan.steps or plan.ingest.name != INGEST or not all(step.outputs for step in plan.steps):
            raise ValueError("its steps are not those of a run")
    except KeyError as error:
        raise folder.damaged(RUN_FILE, f"no entry {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise folder.damaged(RUN_FILE, str(error)) from error
    return plan


class _StepRecord(TypedDict):
    """The types in `StagePlan.to_record`."""

    name: str
    version: int
    inputs: list[str]
    outputs: list[str]
    key: str
    files: dict[str, FileHash]


def make_plan(job: Job, known: Mapping[str, FileHash] | None = None) -> Plan:
    """Build every stage once (nothing is loaded), hash its files and put them in order.

    Args:
        job: the run.
        known: hashes from an earlier plan; files that did not change since are not read again.

    Raises:
        RunError: a table that no stage writes or two write, or a file that is missing.
        ValueError: an unknown backend or option, from the registry.
    """
    known = known or {}
    source = job.build_source()
    stored = Job.from_dict(job.to_dict()) if job.secrets else job  # a hash of a secret would give it away
    options = {**stored.source.options, "dataset": job.dataset, "shard_images": job.shard_images}
    if job.source.limit is not None:
        options |= {"limit": job.source.limit, "sample_seed": job.seed}
    ingest = StagePlan(INGEST, source.version, (), INGEST_TABLES)
    steps = [_keyed(ingest, source, job.source.adapter, options, known)]
    for spec in job.stages:
        stage, written = job.build_stage(spec.name), stored.stage(spec.name).options
        steps.append(_keyed(StagePlan.of(spec.name, stage), stage, spec.backend, written, known))
    return Plan(job, (steps[0], *order_stages(steps[1:])))


def _keyed(
    step: StagePlan,
    built: Stage | Source,
    backend: str,
    options: Mapping[str, Any],
    known: Mapping[str, FileHash],
) -> StagePlan:
    files = {path: hash_file(path, known.get(path)) for path in built.files()}
    hashes = {path: value.sha256 for path, value in files.items()}
    neutral = neutral_options(built)
    key = stage_key(step.name, step.version, backend, options, hashes, neutral, step.schemas)
    return replace(step, key=key, files=files)

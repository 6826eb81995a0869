"""The order of the stages and the key of each: everything a worker needs to know about a run.

The DAG is not written down anywhere: a stage comes after the stages that write the tables it reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from relforge import __version__
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import INGEST, Job
from relforge.pipeline.store.file_hash import FileHash, hash_file
from relforge.pipeline.store.fingerprint import stage_key
from relforge.stages.contract import Stage

INGEST_TABLES = ("images", "boxes", "gold")
RECORD_FORMAT = 1


@dataclass(frozen=True)
class StagePlan:
    """One step of the run, ingest included.

    Args:
        name, version: of the stage.
        inputs: tables read, the primary one first; empty for ingest.
        outputs: tables written.
        key: `fingerprint.stage_key`.
        files: path -> hash of what decides its output.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    key: str
    files: Mapping[str, FileHash] = field(default_factory=dict)


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
            "steps": [asdict(step) for step in self.steps],
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
        steps = tuple(
            StagePlan(
                step["name"],
                step["version"],
                tuple(step["inputs"]),
                tuple(step["outputs"]),
                step["key"],
                {path: FileHash(**value) for path, value in step["files"].items()},
            )
            for step in record["steps"]
        )
        return cls(Job.from_dict(record["job"]), steps)


def make_plan(job: Job, known: Mapping[str, FileHash] | None = None) -> Plan:
    """Build every stage once (nothing is loaded), hash its files and put them in order.

    Args:
        job: the run.
        known: hashes from an earlier plan, which spare the reading of unchanged files.

    Raises:
        RunError: a table nobody writes, two stages that write the same one, or a file that is missing.
        ValueError: an unknown backend or option, from the registry.
    """
    known = known or {}
    source = job.build_source()
    files = {path: hash_file(path, known.get(path)) for path in source.files()}
    options = {**job.source.options, "dataset": job.dataset, "shard_images": job.shard_images}
    key = stage_key(
        INGEST,
        source.version,
        job.source.adapter,
        options,
        {path: value.sha256 for path, value in files.items()},
        _neutral(source),
    )
    ingest = StagePlan(INGEST, source.version, (), INGEST_TABLES, key, files)
    return Plan(job, (ingest, *_ordered([_stage_plan(job, spec.name, known) for spec in job.stages])))


def _stage_plan(job: Job, name: str, known: Mapping[str, FileHash]) -> StagePlan:
    stage: Stage = job.build_stage(name)
    spec = job.stage(name)
    files = {path: hash_file(path, known.get(path)) for path in stage.files()}
    key = stage_key(
        name,
        stage.version,
        spec.backend,
        spec.options,
        {path: value.sha256 for path, value in files.items()},
        _neutral(stage),
    )
    return StagePlan(name, stage.version, tuple(stage.inputs), tuple(stage.outputs), key, files)


def _neutral(stage: object) -> tuple[str, ...]:
    """Options a stage declares to leave its output alone (`neutral_options`), e.g. the batch size."""
    return tuple(getattr(stage, "neutral_options", ()))


def _ordered(stages: list[StagePlan]) -> list[StagePlan]:
    writers: dict[str, str] = dict.fromkeys(INGEST_TABLES, INGEST)
    for stage in stages:
        for table in stage.outputs:
            if table in writers:
                raise RunError(
                    f"stages {writers[table]!r} and {stage.name!r} both write table {table!r}; remove one"
                )
            writers[table] = stage.name
    for stage in stages:
        for table in stage.inputs:
            if table not in writers:
                raise RunError(
                    f"stage {stage.name!r} reads table {table!r}, which no stage of this run writes; add one"
                )
    ordered: list[StagePlan] = []
    ready = set(INGEST_TABLES)
    while len(ordered) < len(stages):
        runnable = [s for s in stages if s not in ordered and set(s.inputs) <= ready]
        if not runnable:
            stuck = ", ".join(s.name for s in stages if s not in ordered)
            raise RunError(f"stages {stuck} wait for each other's tables; break the circle")
        ordered.append(runnable[0])
        ready.update(runnable[0].outputs)
    return ordered

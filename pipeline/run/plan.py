"""The order of the stages and the key of each: everything a worker needs to know about a run.

The graph is not written down anywhere: a stage comes after the stages that write the tables it reads, and
two stages may read the same table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from relforge import __version__
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import INGEST, Job
from relforge.pipeline.store.file_hash import FileHash, hash_file
from relforge.pipeline.store.fingerprint import stage_key
from relforge.stages.contract import Source, Stage, neutral_options, new_tables
from relforge.stages.tables import TABLES, TableSpec

INGEST_TABLES = ("images", "boxes", "gold")
RECORD_FORMAT = 1
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = {"ingest", "logs", "quarantine", "export", "report"}
"""Names of other folders in a run folder, and of the first step."""


@dataclass(frozen=True)
class StagePlan:
    """One step of the run, ingest included.

    Args:
        name, version: of the stage.
        inputs: tables read, the primary one first; empty for ingest.
        outputs: tables written.
        key: `fingerprint.stage_key`.
        files: path -> hash of what decides its output.
        schemas: those of its outputs that are not built in.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    key: str = ""
    files: Mapping[str, FileHash] = field(default_factory=dict)
    schemas: Mapping[str, TableSpec] = field(default_factory=dict)

    @property
    def specs(self) -> dict[str, TableSpec]:
        """Output table -> columns and order."""
        return {table: self.schemas.get(table) or TABLES[table] for table in self.outputs}

    @classmethod
    def of(cls, name: str, stage: Stage) -> StagePlan:
        """What a stage declares about itself; key and files are filled in by `make_plan`.

        Raises:
            RunError: a name that cannot be a folder, no inputs, or a new table without a schema.
        """
        step = cls(name, stage.version, tuple(stage.inputs), tuple(stage.outputs), schemas=new_tables(stage))
        for one in (name, *step.outputs):
            if not _NAME.fullmatch(one) or one in _TAKEN:
                raise RunError(
                    f"stage {name!r}: {one!r} cannot name a stage or table; use other lower-case letters, "
                    "digits and underscores"
                )
        if not step.inputs or not step.outputs:
            raise RunError(f"stage {name!r} has to read a table and write one")
        for table in step.outputs:
            if (table in TABLES) == (table in step.schemas):
                problem = "is built in, so it keeps its schema" if table in TABLES else "needs a schema"
                raise RunError(f"stage {name!r}: table {table!r} {problem}; correct its `schemas`")
        return step

    def to_record(self) -> dict[str, Any]:
        """JSON-able form for run.json; `from_record` reads it back."""
        return {
            "name": self.name,
            "version": self.version,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "key": self.key,
            "files": {path: asdict(value) for path, value in self.files.items()},
            "schemas": {table: spec.to_record() for table, spec in self.schemas.items()},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StagePlan:
        """The step that `to_record` wrote; folders of versions without `schemas` are read too.

        Raises:
            RunError: a name that is no folder inside the run folder.
        """
        for one in (record["name"], *record["outputs"]):
            if not _NAME.fullmatch(one):
                raise RunError(
                    f"run.json: {one!r} cannot name a stage or table; the file was changed by hand"
                )
        return cls(
            record["name"],
            record["version"],
            tuple(record["inputs"]),
            tuple(record["outputs"]),
            record["key"],
            {path: FileHash(**value) for path, value in record["files"].items()},
            {table: TableSpec.from_record(spec) for table, spec in record.get("schemas", {}).items()},
        )


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
    options = {**job.source.options, "dataset": job.dataset, "shard_images": job.shard_images}
    ingest = StagePlan(INGEST, source.version, (), INGEST_TABLES)
    steps = [_keyed(ingest, source, job.source.adapter, options, known)]
    for spec in job.stages:
        stage = job.build_stage(spec.name)
        steps.append(_keyed(StagePlan.of(spec.name, stage), stage, spec.backend, spec.options, known))
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


def order_stages(stages: Sequence[StagePlan]) -> list[StagePlan]:
    """The stages so that each comes after those it reads from; otherwise in the order given.

    Raises:
        RunError: a table that nobody writes or two stages write, or a circle.
    """
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

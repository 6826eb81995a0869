"""One step of a run: what it reads and writes, and what decides its output; and the order of several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import INGEST
from relforge.pipeline.store.file_hash import FileHash
from relforge.stages.contract import Stage, new_tables
from relforge.stages.tables import TABLES, TableSpec

INGEST_TABLES = ("images", "boxes", "gold", "classes")
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
            own = step.schemas.get(table)
            if table in TABLES and own is not None and _widens(own, TABLES[table]):
                continue
            if (table in TABLES) == (own is not None):
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


def order_stages(stages: Sequence[StagePlan]) -> list[StagePlan]:
    """The stages so that each comes after those it reads from; otherwise in the order given.

    Raises:
        RunError: a table that no stage writes or two write, or a circle.
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
            raise RunError(f"stages {stuck} read each other's tables; break the circle")
        ordered.append(runnable[0])
        ready.update(runnable[0].outputs)
    return ordered


def _widens(spec: TableSpec, built_in: TableSpec) -> bool:
    """Whether a table has the columns of a built-in one, and others after them."""
    columns = list(spec.schema)[: len(built_in.schema)]
    return columns == list(built_in.schema) and spec.sort_keys == built_in.sort_keys

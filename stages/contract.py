"""What a stage is: tables in, tables and an account of every record out.

A stage uses neither Ray nor files nor other stages. `pipeline/` reads its input tables, calls
`process` once per shard and commits what comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from relforge.stages.tables import TableSpec


@dataclass(frozen=True)
class Quarantined:
    """One input record set aside because it could not be processed.

    Args:
        record: identity of the row, e.g. `{"image_id": "139", "box_id": 4}`.
        reason: a stable snake_case code, e.g. `zero_area_box`; counted in the sidecar.
        detail: the sentence a person reads; the exception text where there was one.
    """

    record: Mapping[str, Any]
    reason: str
    detail: str = ""


@dataclass
class StageResult:
    """What became of one shard.

    Every row of the primary input (the first name in `Stage.inputs`) ends in exactly one place:
    `kept`, `dropped` under a reason, or `quarantined`. The commit refuses a result where
    `kept + sum(dropped.values()) + len(quarantined)` differs from the rows read. Fan-out needs no
    account of its own: output rows are counted from `tables`.

    Args:
        tables: table name -> rows, each in the schema of `relforge.stages.tables` or of `Stage.schemas`.
        kept: primary input rows that were processed (they may have produced zero or many rows).
        dropped: reason code -> primary input rows left out by a rule.
        quarantined: primary input rows that failed.
        notes: small JSON-able facts for the sidecar (kernel chosen, cache hits, ...). Never timing
            or anything else that differs between two runs of the same input. `losses` holds what was read
            and lost of each kind (`Account.lose`); without it, the quarantined rows of the primary input are.
    """

    tables: dict[str, pa.Table]
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Stage(Protocol):
    """One step of the job. Built once per worker by `relforge.stages.registry.build`.

    More attributes are optional; the first two are read by `neutral_options` and `new_tables`:

    * `neutral_options: tuple[str, ...]`: options that cannot change a bit of the output (device, threads,
      batch sizes, caches). They stay out of the fingerprint, so changing one redoes nothing.
    * `schemas: Mapping[str, TableSpec]`: the tables among `outputs` that relforge does not define, and those
      built-in ones that the stage writes with columns of its own at their end.
    * `announcement: str`: a sentence that is printed when a run begins; empty: none.
    * `foresee(rows: Mapping[str, int]) -> Foreseen | None`: what it will ask of a paid service, given the
      rows of tables (`stages.answers.foresight`); `relforge plan` prints it.
    """

    name: str
    """The stage, e.g. `parse`."""
    version: int
    """Raise it when the same input would give different output; it is part of the fingerprint."""
    inputs: tuple[str, ...]
    """Tables read; the first is the primary one, whose rows are accounted for."""
    outputs: tuple[str, ...]
    """Tables written, each one file per shard."""

    def files(self) -> Sequence[str]:
        """Paths or URIs whose content decides the output (models, vocabularies, caption files);
        their content hashes are part of the fingerprint. Callable before `setup`."""
        ...

    def setup(self) -> None:
        """Load models and open files. Called once per worker process, before the first `process`."""
        ...

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Turn one shard's input tables into its output tables.

        Must not depend on which shard, worker or attempt it is: randomness is counter-based from
        (run seed, image_id, sample index). Bad records are returned as `Quarantined`; an exception
        means a programming or infrastructure error.
        """
        ...


def neutral_options(stage: object) -> tuple[str, ...]:
    """Options that a stage or a source declares to leave its output alone."""
    return tuple(getattr(stage, "neutral_options", ()))


def new_tables(stage: object) -> dict[str, TableSpec]:
    """The tables that a stage declares beyond the built-in ones."""
    return dict(getattr(stage, "schemas", {}))


@runtime_checkable
class Source(Protocol):
    """A dataset to ingest: the step in front of the stages. Built by `registry.build_source`."""

    name: str
    """The adapter, e.g. `coco`."""
    version: int
    """Raise it when the same files would give different tables; it is part of the fingerprint."""

    def files(self) -> Sequence[str]:
        """The annotation files; their content hashes are part of the fingerprint."""
        ...

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        """Read the dataset as a stream, one result per shard of at most `shard_images` images.

        Shard i is the i-th result; the same files always give the same shards. Every result has the
        tables `images`, `boxes` and `gold` (empty where the source has none), and may have `classes`. Records
        are the source's image, box and relation rows: `notes["rows_in"]` is how many the shard read, and
        equals `kept + sum(dropped.values()) + len(quarantined)`.

        Args:
            shard_images: images per shard.
            relations: make a `relations` table too, with all that the source has of its relations; ingest
                needs none.

        Raises:
            SourceError: a file cannot be read.
        """
        ...


@runtime_checkable
class ListsClasses(Protocol):
    """What a source may do besides: say its classes without reading its images."""

    def list_classes(self) -> Mapping[str, Sequence[str]]:
        """Class -> the synonyms that the source gives, in the order of its files.

        Raises:
            SourceError: a file cannot be read.
        """
        ...


class Postponed(Exception):
    """What `process` raises where a shard is not to be made now, though nothing is wrong: a limit that the
    user set is reached. The run ends as incomplete and the same command goes on; the sentence says when."""


class SourceError(ValueError):
    """A dataset that cannot be read at all: the sentence names the file, what is wrong and the fix."""

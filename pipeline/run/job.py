"""The resolved description of one run: plain frozen values that pickle and turn into JSON.

The config file resolves into a `Job`; a run folder keeps it in `run.json`, so that `status`, `rerun`
and workers on other machines need nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from typing import Any

from relforge.pipeline.run.references import store_references
from relforge.stages.contract import Source, Stage
from relforge.stages.ingest.sample import Sample
from relforge.stages.registry import backends, build, build_source

INGEST = "ingest"
"""The name of the step in front of the stages, which reads the source instead of shards."""


@dataclass(frozen=True)
class Resources:
    """What one worker of a stage needs.

    Args:
        num_cpus: CPUs per task or actor, as Ray counts them; fractions are allowed. None: 1 for a
            task, 0.5 for an actor.
        num_gpus: GPUs per task or actor.
        memory: bytes of main memory per task or actor that Ray should reserve.
        custom: resources of the cluster's own, name -> amount per task or actor.
        actors: size of the actor pool, `n` or `(min, max)`. None: tasks, or one actor if
            `num_gpus` is set.
        py_executable: Python of another environment in which this stage runs. It needs the same
            Python minor version and the same Ray version.
        runtime_env: further fields of Ray's `runtime_env` for this stage.
    """

    num_cpus: float | None = None
    num_gpus: float = 0.0
    memory: int | None = None
    custom: Mapping[str, float] = field(default_factory=dict)
    actors: int | tuple[int, int] | None = None
    py_executable: str | None = None
    runtime_env: Mapping[str, Any] | None = None

    @property
    def pool(self) -> tuple[int, int] | None:
        """(min, max) actors, or None for tasks."""
        if self.actors is None:
            return (1, 1) if self.num_gpus else None
        return (self.actors, self.actors) if isinstance(self.actors, int) else self.actors


@dataclass(frozen=True)
class SourceSpec:
    """Where the images and boxes come from: an adapter's name (or `module:Class`), its options, what the one
    task needs that reads it, and how much of it is read (`stages.ingest.sample`)."""

    adapter: str
    options: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    limit: int | str | None = None

    def build(self, seed: int) -> Source:
        """A new source; with a limit, of a sample that the run's seed draws."""
        source = build_source(self.adapter, **self.options)
        return source if self.limit is None else Sample(source, self.limit, seed)


@dataclass(frozen=True)
class StageSpec:
    """One stage: which backend (name or `module:Class`), its options, and what a worker of it needs.

    Options hold everything that decides the output, the run's `seed` and `profile` included where the
    backend takes them; the config resolution puts them there.
    """

    name: str
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class Limits:
    """When a run gives up.

    Args:
        quarantine_rate: largest share of a stage's input records that may be quarantined.
        lost_rates: kind of input (`images`, `boxes`, `captions`) -> largest share of it that a stage may
            lose; a kind that is absent has `quarantine_rate`.
        on_empty: `warn` or `fail`: what a run comes to whose result is empty.
        retries: how often a shard is tried again after a storage error or a lost worker.
        stall_minutes: with no commit for so long, the slowest shard is named in a warning.
        autoscaling: the cluster starts nodes on demand, so what no node has yet is waited for.
    """

    quarantine_rate: float = 0.05
    retries: int = 3
    stall_minutes: float = 10.0
    lost_rates: Mapping[str, float] = field(default_factory=dict)
    on_empty: str = "warn"
    autoscaling: bool = False

    def lost_rate(self, kind: str) -> float:
        """The largest share of that kind that a stage may lose."""
        return self.lost_rates.get(kind, self.quarantine_rate)


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        folder: the run folder, a local path or a URI (`s3://bucket/run`).
        dataset: the name that is part of relation ids.
        source: what is ingested.
        stages: in any order; the plan orders them by their inputs and outputs.
        shard_images: images per shard. Part of the layout: changing it redoes everything.
        seed, profile: recorded in run.json. A backend gets them only through its options.
        limits: when to give up; not part of any fingerprint.
        config: the resolved configuration as the user would write it, for run.json.
        secrets: dotted field of the config -> what run.json holds in its place.
        dashboard: start Ray's dashboard with a local Ray.
    """

    folder: str
    dataset: str
    source: SourceSpec
    stages: tuple[StageSpec, ...]
    shard_images: int = 500
    seed: int = 0
    profile: str = "fixed"
    limits: Limits = field(default_factory=Limits)
    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    dashboard: bool = False

    def stage(self, name: str) -> StageSpec:
        """The stage of that name; ValueError names the choices."""
        for spec in self.stages:
            if spec.name == name:
                return spec
        raise ValueError(f"no stage {name!r} in this run; it has {', '.join(s.name for s in self.stages)}")

    def build_stage(self, name: str) -> Stage:
        """A new, not yet set up object of that stage.

        A constructor that takes `run_folder` or `workers` is told them; both say where and how a stage works,
        not what comes out, so no option holds them.
        """
        spec = self.stage(name)
        of_run = {"run_folder": self.folder, "workers": spec.resources.pool[1] if spec.resources.pool else 1}
        taken = signature(backends(spec.name).load(spec.backend)).parameters
        told = {option: value for option, value in of_run.items() if option in taken}
        return build(spec.name, spec.backend, **told | dict(spec.options))

    def build_source(self) -> Source:
        """A new source."""
        return self.source.build(self.seed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, with references in place of secrets; `from_dict` reads it back."""
        record = asdict(self)
        store_references(record, self.secrets)
        return record

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """The job that `to_dict` wrote. Unknown keys are ignored: a newer version may have added them."""
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        source = dict(data["source"])
        values["source"] = SourceSpec(**source | {"resources": _resources(source.get("resources", {}))})
        values["stages"] = tuple(_stage_spec(stage) for stage in data["stages"])
        values["limits"] = Limits(**data["limits"])
        return cls(**values)


def _stage_spec(data: Mapping[str, Any]) -> StageSpec:
    return StageSpec(data["name"], data["backend"], data["options"], _resources(data["resources"]))


def _resources(data: Mapping[str, Any]) -> Resources:
    values = dict(data)
    if isinstance(values.get("actors"), list):
        values["actors"] = tuple(values["actors"])
    return Resources(**values)

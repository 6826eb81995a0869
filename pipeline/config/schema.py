"""The fields of a config, with types, ranges and defaults."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from relforge.images.decode import MAX_PIXELS
from relforge.pipeline.config.kinds import INSTEAD, RECIPE, is_recipe
from relforge.pipeline.config.source import ConfigError, Source, unknown_key
from relforge.registry import Registry
from relforge.stages.registry import BACKENDS


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskResources(_Strict):
    """What one worker takes from Ray; `pipeline.run.job.Resources` explains each."""

    num_cpus: float | None = Field(default=None, ge=0)
    memory: ByteSize | None = None
    custom: dict[str, float] = {}
    py_executable: str | None = None
    runtime_env: dict[str, Any] | None = None


class Resources(TaskResources):
    """What one worker of a stage takes from Ray, and how many there are."""

    num_gpus: float = Field(default=0.0, ge=0)
    actors: int | tuple[int, int] | None = None


class Dataset(_Strict):
    """The detection dataset that is read.

    Args:
        name: what relation ids and exports call it, e.g. `coco`.
        split: e.g. `train2017`.
        format: a source format, e.g. `coco`; the rest of the keys are that format's own options
            (annotation files, image folder, ...).
        orientation: what boxes were written for, the pixels as the files store them or `upright` ones;
            by default, as the annotated size decides.
        max_pixels: an image of more pixels is set aside before any is decoded, by every stage that reads it.
        limit: of its images, that many (`100`) or a share (`1%`), drawn by a hash of the run's seed and the
            image id, so that a larger limit keeps the images of a smaller one. None: all.
        resources: of the one task that reads the annotation.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)
    split: str = Field(min_length=1)
    format: str
    orientation: Literal["stored", "upright"] | None = None
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=2 * MAX_PIXELS)
    limit: int | str | None = None
    resources: TaskResources = TaskResources()

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the format."""
        return dict(self.model_extra or {})


class Run(_Strict):
    """Where a run is stored and how it is divided.

    Args:
        folder: run folder; a local path or any fsspec/pyarrow URI.
        shard_images: images per shard.
        seed: run seed of all counter-based randomness.
        profile: `fixed` does the right thing, `compat` what the published scripts do.
        quarantine_limit: fraction of a stage's records above which the run stops.
        lost_images_limit, lost_boxes_limit, lost_captions_limit: the same for what is lost of one kind; None:
            `quarantine_limit`.
        on_empty: what a run without a result comes to: a warning, or a failure.
        retries: how often a shard is tried again after a storage error or a lost worker.
        stall_minutes: with no commit for so long, the slowest shard is named in a warning.
        autoscaling: the cluster starts nodes on demand, so what no node has yet is waited for.
        dashboard: start Ray's dashboard with a local Ray, and print where it is.
    """

    folder: str
    shard_images: int = Field(default=500, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    profile: Literal["fixed", "compat"] = "fixed"
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)
    lost_images_limit: float | None = Field(default=None, ge=0, le=1)
    lost_boxes_limit: float | None = Field(default=None, ge=0, le=1)
    lost_captions_limit: float | None = Field(default=None, ge=0, le=1)
    on_empty: Literal["warn", "fail"] = "warn"
    retries: int = Field(default=3, ge=0)
    stall_minutes: float = Field(default=10.0, gt=0)
    autoscaling: bool = False
    dashboard: bool = False

    @property
    def lost_limits(self) -> dict[str, float]:
        """Kind of input -> its own limit, where it has one."""
        limits = {
            "images": self.lost_images_limit,
            "boxes": self.lost_boxes_limit,
            "captions": self.lost_captions_limit,
        }
        return {kind: limit for kind, limit in limits.items() if limit is not None}


class StageChoice(_Strict):
    """One stage: which backend, its resources, and whatever options that backend takes."""

    model_config = ConfigDict(extra="allow", frozen=True)

    backend: str
    resources: Resources = Resources()

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the backend."""
        return dict(self.model_extra or {})


class Config(_Strict):
    """A whole config file."""

    dataset: Dataset
    run: Run
    stages: dict[str, StageChoice] = Field(min_length=1)
    """Stage name -> choice, in any order: the tables that stages read and write order them. A run may stop
    early or go further than relforge's own five stages."""


def check(source: Source) -> Config:
    """The typed config.

    Raises:
        ConfigError: the first field that is unknown, missing, or of the wrong type or range.
    """
    if is_recipe(source.values):
        raise ConfigError(source.name, "", f"is {RECIPE}, no config of a run; {INSTEAD[RECIPE]}")
    try:
        config = Config.model_validate(source.values)
    except ValidationError as error:
        raise _first(source, error) from None
    for name, choice in config.stages.items():
        if name not in BACKENDS and ":" not in choice.backend:
            raise _unknown_stage(source, name)
    return config


def _unknown_stage(source: Source, name: str) -> ConfigError:
    sentence = Registry("stage", dict.fromkeys(BACKENDS, "")).refusal(name)
    return ConfigError(source.name, f"stages.{name}", f"{sentence} as its backend")


def _first(source: Source, error: ValidationError) -> ConfigError:
    details = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")[0]
    path = [str(part) for part in details["loc"]]
    field = ".".join(path)
    if path[0] == "stages" and len(path) > 1 and path[1] not in BACKENDS and path[2:] in ([], ["backend"]):
        return _unknown_stage(source, path[1])
    if details["type"] == "extra_forbidden":
        return ConfigError(source.name, field, unknown_key(path[-1], _fields(path[:-1])))
    if details["type"] == "missing" or details["input"] is None:
        return ConfigError(source.name, field, f"missing; {source.fix(field)}")
    return ConfigError(
        source.name, field, f"{details['msg'].lower()}, found {details['input']!r}; {source.fix(field)}"
    )


def _fields(path: list[str]) -> list[str]:
    """Names of the fields of the model at `path`."""
    model: type[BaseModel] = Config
    if path[:1] == ["stages"]:
        model = Resources if path[2:] else StageChoice
    elif path:
        sections: dict[str, type[BaseModel]] = {"run": Run, "dataset.resources": TaskResources}
        model = sections.get(".".join(path), Dataset)
    return list(model.model_fields)

"""A checked config becomes a `Job`: options completed from the run and the profile, files looked up.

The published scripts have defects that change labels. The profile `fixed` does the right thing; `compat`
reproduces the published behaviour for comparison with released files. A switch is an ordinary option of a
backend: a config that names it takes precedence over the profile, and run.json records the value either way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from relforge.models.fetched import resolve_pinned
from relforge.pipeline.config.options import construct, constructor, parameters
from relforge.pipeline.config.schema import Config, Dataset, StageChoice
from relforge.pipeline.config.secrets import find_secrets
from relforge.pipeline.config.source import ConfigError, Source
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import Job, Limits, Resources, SourceSpec, StageSpec
from relforge.pipeline.run.stage_plan import StagePlan, order_stages
from relforge.stages.contract import Source as SourceAdapter
from relforge.stages.contract import Stage
from relforge.stages.ingest.sample import read_limit
from relforge.stages.registry import SOURCES, backends

GROUND = "ground"
"""The stage whose table taggers read instead of `candidates`; `profile: compat` runs without it."""

PROPOSALS = "prior"
"""The backend of `propose` that adds to what captions say; taggers then read its table."""

KNOWN_PAIRS = "vlm_pairs"
"""The captioner whose captions are of pairs that its table `regions` names."""

SWITCHES: dict[str, dict[str, tuple[Any, Any]]] = {
    "parse": {"lower_spans": (False, True), "stated_only": (True, False)},
    "match": {"method": ("boundary", "substring")},
    "tag": {"texts": ("own", "union")},
    "select": {"deduplicate": ("max", "none")},
}
"""stage -> option -> (value under `fixed`, value under `compat`)."""


def switches(stage: str, profile: str, accepted: Collection[str]) -> dict[str, Any]:
    """What the profile sets on a backend of `stage` that takes the options `accepted`."""
    which = 0 if profile == "fixed" else 1
    table = SWITCHES.get(stage, {})
    return {option: values[which] for option, values in table.items() if option in accepted}


def resolve(config: Config, source: Source) -> Job:
    """The job a config describes. Every backend is built once, so that a wrong option shows now.

    Raises:
        ConfigError: an unknown backend, format or option, or one with a value its owner rejects.
    """
    run = config.run
    secrets = find_secrets(source)
    context = {
        "dataset": config.dataset.name,
        "split": config.dataset.split,
        "seed": run.seed,
        "profile": run.profile,
        "orientation": config.dataset.orientation,
        "max_pixels": config.dataset.max_pixels,
    }
    chosen = dict(config.stages)
    if run.profile == "compat":
        chosen.pop(GROUND, None)  # the published scripts relate all pairs
    stated = "grounded" if GROUND in chosen else "candidates"
    context["said"] = stated if "match" in chosen else None
    proposes = "propose" in chosen and chosen["propose"].backend == PROPOSALS
    context["candidates"] = "proposed" if proposes else stated
    context["known_pairs"] = "caption" in chosen and chosen["caption"].backend == KNOWN_PAIRS
    adapter = SourceSpec(
        config.dataset.format,
        _source_options(config, source, context),
        Resources(**config.dataset.resources.model_dump()),
        _limit(config.dataset.limit, source),
    )
    built = {name: _stage(name, choice, source, context) for name, choice in chosen.items()}
    try:
        order = order_stages([StagePlan.of(name, stage) for name, (_, stage) in built.items()])
    except RunError as error:
        raise ConfigError(source.name, "stages", str(error)) from error
    stages = tuple(built[step.name][0] for step in order)
    return Job(
        folder=run.folder,
        dataset=config.dataset.name,
        source=adapter,
        stages=stages,
        shard_images=run.shard_images,
        seed=run.seed,
        profile=run.profile,
        limits=Limits(
            run.quarantine_limit,
            run.retries,
            run.stall_minutes,
            run.lost_limits,
            run.on_empty,
            run.autoscaling,
        ),
        config=_as_written(config, stages),
        secrets=secrets,
        dashboard=run.dashboard,
    )


def _limit(limit: int | str | None, source: Source) -> int | str | None:
    """`dataset.limit`, checked."""
    try:
        if limit is not None:
            read_limit(limit)
    except ValueError as error:
        raise ConfigError(source.name, "dataset.limit", str(error)) from error
    return limit


def _source_options(config: Config, source: Source, context: dict[str, Any]) -> dict[str, Any]:
    target = constructor(source, "dataset.format", SOURCES, config.dataset.format)
    options = _complete(target, config.dataset.options, context)
    # an unknown key may mean a field of the section that sources take as an option
    internal = tuple(name for name in context if name not in Dataset.model_fields)
    here = {name: _fetched(value, f"dataset.{name}", source) for name, value in options.items()}
    construct(source, "dataset", target, here, internal=(*internal, "dataset", "split"))
    return options  # a pinned name stays as written: the cache of another machine is elsewhere


def _fetched(value: Any, field: str, source: Source) -> Any:
    """An option with paths in place of names that `relforge fetch` has fetched."""
    try:
        return resolve_pinned(value)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(source.name, field, str(error)) from error


def _stage(
    name: str, choice: StageChoice, source: Source, context: dict[str, Any]
) -> tuple[StageSpec, Stage]:
    field = f"stages.{name}"
    target = constructor(source, f"{field}.backend", backends(name), choice.backend)
    chosen = switches(name, context["profile"], parameters(target)[0]) | choice.options
    options = _complete(target, chosen, context)
    built: Stage = construct(source, field, target, options, internal=tuple(context))
    return StageSpec(name, choice.backend, options, Resources(**choice.resources.model_dump())), built


def _complete(target: Callable[..., Any], options: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Add the values of the run (seed, dataset, ...) where the constructor takes it by name."""
    wanted = {name: context[name] for name in parameters(target)[0] if name in context}
    return wanted | options


def _as_written(config: Config, stages: Sequence[StageSpec]) -> dict[str, Any]:
    """The config with every default and switch spelled out, as the user could have written it."""
    written: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    written["stages"] = {spec.name: written["stages"][spec.name] for spec in stages}
    for spec in stages:
        written["stages"][spec.name] |= spec.options
    return written


def check_files(job: Job, source: Source) -> None:
    """Look for every file and model the job reads, before anything runs.

    Raises:
        ConfigError: one is missing; names the field it came from and what sets it.
    """
    readers: list[tuple[str, Mapping[str, Any], Stage | SourceAdapter]]
    readers = [("dataset", job.source.options, job.build_source())]
    readers += [(f"stages.{s.name}", s.options, job.build_stage(s.name)) for s in job.stages]
    for field, options, built in readers:
        try:
            files = [str(file) for file in built.files()]
        except (ValueError, OSError) as error:
            named = {key: value for key, value in options.items() if isinstance(value, str) and value}
            # the error names what it looked for; a longer value is not there by chance
            key = max((k for k in named if named[k] in str(error)), key=lambda k: len(named[k]), default=None)
            where, fix = (f"{field}.{key}", f"; {source.fix(f'{field}.{key}')}") if key else (field, "")
            raise ConfigError(source.name, where, f"{error}{fix}") from error
        for file in files:
            _check_file(file, field, options, source)


def _check_file(file: str, field: str, options: Mapping[str, Any], source: Source) -> None:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(file)
    if filesystem.exists(path):
        return
    key = next((key for key, value in options.items() if str(value) == file), None)
    where = f"{field}.{key}" if key else field
    fix = source.fix(where) if key else "check the paths of this section"
    raise ConfigError(source.name, where, f"no such file or folder: {file}; {fix}")

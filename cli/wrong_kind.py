"""Sentences for a command that was given the wrong kind of file: what it is, and what takes it."""

from __future__ import annotations

from relforge.cli.exits import BadInput
from relforge.pipeline.config.kinds import (
    ANNOTATIONS,
    CONFIG,
    IMAGE,
    INSTEAD,
    JSON,
    MODEL,
    RECIPE,
    RUN,
    find_kind,
    is_config,
)

_DETECTIONS = "a table of detections or a model"
TAKES = {
    "labels": "a run folder",
    "vg_sgg": "a run folder, predictions or a model",
    "hico": _DETECTIONS,
    "vcoco": _DETECTIONS,
    "open_images": _DETECTIONS,
    "hico_image": "a model, its scores or a run folder with image labels",
    "coco": "a list of results or a detector",
}
"""Benchmark -> what it measures."""

_NEVER = {CONFIG, RECIPE, IMAGE}
WRONG = {
    "labels": {*_NEVER, MODEL, JSON, ANNOTATIONS},
    "vg_sgg": _NEVER,
    "hico": {*_NEVER, RUN},
    "vcoco": {*_NEVER, RUN},
    "open_images": {*_NEVER, RUN},
    "hico_image": _NEVER,
    "coco": {*_NEVER, RUN, ANNOTATIONS},
}
"""Benchmark -> kinds that it cannot measure, whatever is in them."""


def check_target(benchmark: str, target: str) -> None:
    """Refuse a target of the wrong kind before anything is read.

    Raises:
        BadInput: it says what the target is, what the benchmark measures, and the nearest right command.
    """
    kind = find_kind(target)
    if kind is None or kind not in WRONG.get(benchmark, ()):
        return
    raise BadInput(
        f"{target} is {kind}; {benchmark} measures {TAKES[benchmark]}; {_instead_of(kind, target, benchmark)}"
    )


def _instead_of(kind: str, target: str, benchmark: str) -> str:
    if kind == CONFIG and (folder := _run_folder(target)):
        return f"its run is {folder}: `relforge eval labels {folder}`"
    if kind == RUN:
        return f"a run's labels are measured by `relforge eval labels {target}` or `vg_sgg`"
    if kind == MODEL:
        return "a model's detections are measured by hico, vcoco, open_images, vg_sgg or coco"
    if kind == RECIPE:
        return "its model is in the folder `out`/model once `relforge train` has made it"
    if kind == ANNOTATIONS and benchmark == "coco":
        return f"give it as annotations={target}"
    return INSTEAD[kind]


def _run_folder(config: str) -> str:
    """`run.folder` of a config, as it is written."""
    from relforge.pipeline.config.source import ConfigError, read

    try:
        folder = read(config).values["run"]["folder"]
    except (ConfigError, LookupError, TypeError):
        return ""
    return str(folder)


def check_recipe(recipe: str, values: dict[str, object]) -> None:
    """Refuse what is no training recipe.

    Raises:
        BadInput: it says what the file is and what takes it.
    """
    if is_config(values):
        raise BadInput(f"{recipe} is {CONFIG}, no training recipe; {INSTEAD[CONFIG]}")
    if find_kind(recipe) in (ANNOTATIONS, JSON):
        raise BadInput(f"{recipe} is {find_kind(recipe)}, no training recipe; {INSTEAD[ANNOTATIONS]}")

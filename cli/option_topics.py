"""What has options: sections of a config, backends of stages, data sets, benchmarks, exports, recipes."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from relforge.cli.exits import BadInput
from relforge.evaluation.evaluator import EVALUATORS
from relforge.models.zoo import MODELS, family
from relforge.nearest import find_nearest
from relforge.pipeline.config.option_docs import Option, describe_fields, describe_options
from relforge.registry import Registry
from relforge.stages.export.targets import TARGETS
from relforge.stages.registry import BACKENDS, SOURCES

OF_RUN = {
    "dataset": "dataset.name",
    "split": "dataset.split",
    "seed": "run.seed",
    "profile": "run.profile",
    "orientation": "dataset.orientation",
    "max_pixels": "dataset.max_pixels",
    "candidates": "stages.ground",
    "known_pairs": "stages.caption.backend",
    "said": "stages",
    "run_folder": "run.folder",
    "workers": "resources.actors",
}
"""Option that a run fills in -> the field that sets it."""

RECIPES: dict[str, dict[str, str]] = {
    "relations": {
        "": "relforge.trainer.settings:Settings",
        "batch.": "relforge.data.batches:BatchOptions",
        "optimisation.": "relforge.trainer.optimiser:Optimisation",
        "assign.": "relforge.trainer.assignment:AssignOptions",
    },
    "blip": {
        "": "relforge.trainer.recipes.blip:Settings",
        "batch.": "relforge.data.caption_batches:CaptionOptions",
        "optimisation.": "relforge.trainer.optimiser:Optimisation",
    },
    "image_level": {
        "": "relforge.trainer.image_training:ImageSettings",
        "batch.": "relforge.data.image_label_batches:ImageBatchOptions",
        "optimisation.": "relforge.trainer.optimiser:Optimisation",
    },
}
"""Recipe -> prefix -> the dataclass of its settings. Detectors have those of `relations`, `hts` those of
`image_level`."""

SECTIONS = {
    "run": "relforge.pipeline.config.schema:Run",
    "resources": "relforge.pipeline.run.job:Resources",
    "dataset": "relforge.pipeline.config.schema:Dataset",
}
"""Section of a config -> its fields."""

REGISTRIES: dict[str, Registry] = {**BACKENDS, "dataset": SOURCES, "eval": EVALUATORS, "export": TARGETS}


def list_topics() -> dict[str, list[str]]:
    """Topic -> what may be named after it."""
    topics: dict[str, list[str]] = {"run": [], "resources": []}
    topics |= {name: list(registry) for name, registry in REGISTRIES.items()}
    return topics | {"train": [*RECIPES, *MODELS]}


def find_options(topic: str, name: str | None) -> list[Option]:
    """The options of a section of a config, or of one backend, data set, benchmark, export or recipe.

    Raises:
        BadInput: no such topic, or it needs a name; both list the choices.
    """
    topics = list_topics()
    if topic not in topics:
        owner = next((one for one, names in topics.items() if topic in names), None)
        if owner is not None and name is None:
            return find_options(owner, topic)
        near = find_nearest(topic, topics)
        guess = f"did you mean {near!r}? " if near else ""
        raise BadInput(f"no options of {topic!r}; {guess}choose one of {', '.join(topics)}")
    if name is None and topic == "dataset":
        return _section("dataset")
    if name is None and not topics[topic]:
        return _section(topic)
    if name is None and len(topics[topic]) == 1:
        name = topics[topic][0]
    if name is None:
        raise BadInput(f"relforge options {topic}: which one? add one of {', '.join(topics[topic])}")
    if name not in topics[topic]:
        near = find_nearest(name, topics[topic])
        guess = f"did you mean {near!r}? " if near else ""
        raise BadInput(f"{topic} has no {name!r}; {guess}choose one of {', '.join(topics[topic])}")
    return _recipe(name) if topic == "train" else _entry(topic, name)


def _entry(topic: str, name: str) -> list[Option]:
    registry = REGISTRIES[topic]
    internal = {} if topic in ("eval", "export") else OF_RUN
    cost = {"eval": "measures anew", "export": "writes anew"}.get(topic, f"redoes {topic}")
    if topic == "dataset":
        cost = "redoes everything whose rows change"
    found = describe_options(registry.load(name), registry.target(name), internal, cost)
    return [one for one in found if not (topic == "export" and one.name in ("tables", "path"))]


def _section(name: str) -> list[Option]:
    costs = {"run": "redoes nothing", "resources": "redoes nothing", "dataset": "redoes everything"}
    changing = {
        "seed": "redoes what draws",
        "profile": "redoes the stages it sets",
        "shard_images": "redoes all",
    }
    changing["folder"] = "another run"
    return [
        Option(**{**vars(one), "cost": changing.get(one.name, costs[name])})
        for one in describe_fields(_load(SECTIONS[name]), cost=costs[name])
    ]


def _recipe(name: str) -> list[Option]:
    """Options of a recipe; of a kind of model, its sizes."""
    if name in RECIPES:
        parts = ((prefix, _load(target)) for prefix, target in RECIPES[name].items())
        return [
            option
            for prefix, kind in parts
            for option in describe_fields(kind, prefix)
            if not (prefix == "" and option.name in ("batch", "optimisation", "assign"))
        ]
    sizes = family(name).sizes
    return describe_fields(sizes, "model.sizes.") if is_dataclass(sizes) else []


def _load(target: str) -> Any:
    return Registry("options", {target: target}).load(target)

"""The JSON schema of training recipes, by which editors complete and check YAML.

It is made of the classes and signatures that check a recipe when it is trained: settings, sizes, losses and
noise of each kind of model, options of data. What files hold is left to the command.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any

from relforge.data.batches import BatchOptions
from relforge.data.caption_batches import CaptionOptions
from relforge.data.captions import load_captions
from relforge.data.few_shot import OPTIONS as FEW_SHOT
from relforge.data.hoi_sources import COMMON, HOI_FORMATS
from relforge.data.image_label_batches import ImageBatchOptions
from relforge.data.sources import RUN_OPTIONS, SUBSETS
from relforge.evaluation.hico_image import HicoImageEvaluator
from relforge.models.family import Family
from relforge.models.training.multi_assignment import MultiAssignment
from relforge.models.training.reweighting import Reweighting
from relforge.models.zoo import DETECTORS, MODELS, family
from relforge.pipeline.config.json_schema import (
    REFERENCE,
    Schema,
    entry_schema,
    option_schemas,
)
from relforge.pipeline.config.option_docs import read_meanings
from relforge.stages.registry import SOURCES
from relforge.trainer.assignment import AssignOptions
from relforge.trainer.image_training import DATA, HTS_ONLY, MODEL, ImageSettings
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.recipes import blip
from relforge.trainer.recipes.detector import NOT_OF_BOXES, OF_PAIRS
from relforge.trainer.settings import NEW_MODEL, OF_FILE, STARTED_MODEL, Settings

_OWN: Schema = {"type": "string", "pattern": ":"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"anyOf": [{"type": "integer", "minimum": 1}, REFERENCE]}
_MODEL: Schema = {
    "start": _TEXT,
    "pairs": _COUNT,
    "words": _TEXT,
    "tokenizer": _TEXT,
    "gate": _TEXT,
    "keep_random": {"type": "array", "items": _TEXT},
    "sizes": {"type": "object"},
}
"""Fields of `model` that have a form."""
_SHARED = (BatchOptions, CaptionOptions, ImageBatchOptions, Optimisation)


def recipe_schema() -> Schema:
    """The schema of a recipe of `relforge train`."""
    branches = [
        *(_trained(name, family(name)) for name in MODELS if family(name).targets != "images"),
        _trained({"not": {"enum": [*MODELS, "blip"]}, **_OWN}, None),
        _started(),
        _captioner(),
        *(_of_images(recipe) for recipe in ("image_level", "hts")),
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A training recipe of relforge",
        "type": "object",
        "required": ["out", "data", "model"],
        "anyOf": branches,
        "$defs": {
            "relations": {"type": "array", "minItems": 1, "items": {"anyOf": _relation_entries()}},
            "boxes": {"type": "array", "minItems": 1, "items": {"anyOf": _box_entries()}},
            "assign": _assign(),
            **{one.__name__: _fields(one) for one in _SHARED},
        },
    }


def _trained(kind: str | Schema, entry: Family | None) -> Schema:
    """Recipes of `relations` and `detector` with a kind, or of a family of the user's own."""
    name = kind if isinstance(kind, str) else "package.module:NAME"
    boxes = kind in DETECTORS
    settings = _settings(Settings, NOT_OF_BOXES if boxes else ())
    model = _any((*NEW_MODEL, *STARTED_MODEL, *OF_FILE)) | _MODEL
    model["kind"] = {"const": kind} if isinstance(kind, str) else kind
    if entry is not None:
        if is_dataclass(entry.sizes):
            model["sizes"] = _fields(entry.sizes)
        settings["losses"] = _losses(entry)
        if entry.noise is None:
            settings.pop("noise", None)
        else:
            settings["noise"] = _arguments(entry.noise, list(signature(entry.noise).parameters))
    settings["data"] = {"$ref": f"#/$defs/{'boxes' if boxes else 'relations'}"}
    if boxes:
        settings["batch"] = _without(_fields(BatchOptions), OF_PAIRS)
    else:
        settings["assign"] = {"$ref": "#/$defs/assign"}
    return _object(name, settings | {"model": _object("", model, ["kind"])})


def _started() -> Schema:
    """A recipe that names a model to start from and no kind."""
    settings = _settings(Settings) | {
        "data": {"$ref": "#/$defs/relations"},
        "assign": {"$ref": "#/$defs/assign"},
    }
    model = _any((*STARTED_MODEL, *OF_FILE)) | _MODEL
    model.pop("kind")
    return _object("a model to start from", settings | {"model": _object("", model, ["start"])})


def _captioner() -> Schema:
    model = {"kind": {"const": "blip"}, "vocabulary": _COUNT, "vision": {"type": "object"}}
    settings = _settings(blip.Settings)
    settings["data"] = _arguments(load_captions, list(signature(load_captions).parameters))
    optimisation = _without(_fields(Optimisation), ("average_decay", "backbone_learning_rate"))
    model |= {"text": {"type": "object"}}
    wanted = ["kind", "vision", "text"]
    return _object("blip", settings | {"optimisation": optimisation, "model": _object("", model, wanted)})


def _of_images(recipe: str) -> Schema:
    settings = _settings(ImageSettings, HTS_ONLY if recipe == "image_level" else ())
    kinds = [name for name in MODELS if family(name).targets == "images"]
    new = _any(MODEL) | {"kind": {"enum": kinds}, "backbone": _TEXT, "rows": _TEXT, "sizes": {}}
    new["sizes"] = {"anyOf": [_fields(family(kind).sizes) for kind in kinds]}
    started = {"kind": {"enum": kinds}, "start": _TEXT}
    new.pop("start", None)
    settings["model"] = {"anyOf": [_object("", new, ["kind"]), _object("", started, ["start"])]}
    settings["data"] = _object("", _any(DATA) | {"source": _TEXT, "limit": _COUNT}, ["source"])
    settings["judge"] = _arguments(HicoImageEvaluator, list(signature(HicoImageEvaluator).parameters))
    settings["losses"] = _losses(family(kinds[0]))
    settings["recipe"] = {"const": recipe}
    found = _object(recipe, settings)
    return found | {"required": [*found["required"], "recipe"]} if recipe == "hts" else found


def _settings(kind: type, without: Collection[str] = ()) -> Schema:
    """The fields of a recipe's settings; those of `batch` and `optimisation` are among `$defs`."""
    found = {name: one for name, one in _fields(kind)["properties"].items() if name not in without}
    for field in fields(kind):
        if field.name in ("batch", "optimisation"):
            found[field.name] = {"$ref": f"#/$defs/{getattr(field.default_factory, '__name__', '')}"}
    return found


def _fields(kind: type) -> Schema:
    """The fields of a dataclass, none of them needed."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    found = option_schemas(kind, name)
    for field, meaning in read_meanings(kind).items():
        if field in found:
            found[field]["description"] = meaning
    return {"type": "object", "additionalProperties": False, "properties": found}


def _arguments(target: Callable[..., Any], names: Sequence[str]) -> Schema:
    """Options that a callable takes by keyword."""
    found = option_schemas(target, f"{target.__module__}:{getattr(target, '__qualname__', '')}")
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {one: found.get(one, {}) for one in names},
    }


def _losses(entry: Family) -> Schema:
    names = [one for one in signature(entry.losses).parameters if one not in ("published", "counts")]
    return _arguments(entry.losses, names)


def _any(names: Iterable[str]) -> Schema:
    """Fields that may hold anything."""
    return {name: {} for name in names}


def _without(schema: Schema, names: Collection[str]) -> Schema:
    kept = {name: one for name, one in schema["properties"].items() if name not in names}
    return schema | {"properties": kept}


def _assign() -> Schema:
    found = _fields(AssignOptions)
    for name, kind in (("multi", MultiAssignment), ("reweight", Reweighting)):
        found["properties"][name] = _fields(kind)
    return found


def _relation_entries() -> list[Schema]:
    """What an entry of `data` may be."""
    few = _object("", _any(FEW_SHOT) | {"list": _TEXT}, [])
    subsets = _any(SUBSETS) | {"few_shot": few, "exclude": _TEXT}
    of_run = _any(sorted(RUN_OPTIONS)) | {"run": _TEXT, "limit": _COUNT}
    of_run["relations"] = {"enum": ["relations", "gold"]}
    entries = [_object("a run folder", of_run | subsets, ["run"])]
    for name, read in HOI_FORMATS.items():
        needed = [one.name for one in signature(read).parameters.values() if one.default is one.empty]
        options = _any(COMMON) | _arguments(read, list(signature(read).parameters))["properties"]
        options |= {"format": {"const": name}, "limit": _COUNT}
        entries.append(_object(name, options | subsets, ["format", *needed]))
    return entries + _sources(subsets | {"limit": _COUNT})


def _box_entries() -> list[Schema]:
    more = {"limit": _COUNT, "exclude": _TEXT}
    return [_object("a run folder", {"run": _TEXT, **more}, ["run"]), *_sources(more)]


def _sources(more: Mapping[str, Any]) -> list[Schema]:
    known = [entry_schema(SOURCES, name, "format", dict(more), []) for name in SOURCES]
    own = {"type": "object", "title": "package.module:Class", "required": ["format"]}
    return [*known, own | {"properties": {**more, "format": _OWN}}]


def _object(title: str, properties: Mapping[str, Any], required: Sequence[str] | None = None) -> Schema:
    needed = ["out", "data", "model"] if required is None else list(required)
    found: Schema = {"type": "object", "required": needed, "additionalProperties": False}
    return found | ({"title": title} if title else {}) | {"properties": dict(properties)}

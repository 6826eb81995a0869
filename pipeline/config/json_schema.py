"""The JSON schema of configs, by which editors complete and check YAML.

It says what `relforge validate` says of fields and options, as far as a schema can: files, the order of
stages and what a constructor refuses are left to the command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isclass, signature
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from relforge.pipeline.config.option_docs import describe_options, read_meanings
from relforge.pipeline.config.option_types import option_types
from relforge.pipeline.config.options import parameters
from relforge.pipeline.config.schema import Config, Dataset, Resources, Run, TaskResources
from relforge.registry import Registry
from relforge.stages.registry import BACKENDS, SOURCES

Schema = dict[str, Any]

REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
"""`${NAME}` stands for any value."""
_OWN: Schema = {"type": "string", "pattern": ":"}
"""`package.module:Class` of the user's own."""


def config_schema() -> Schema:
    """The schema of a config of a run."""
    whole = Config.model_json_schema()
    definitions = {name: _with_references(one) for name, one in whole["$defs"].items()}
    for kind in (Dataset, Run, Resources, TaskResources):
        _describe(definitions[kind.__name__], read_meanings(kind))
    own = definitions.pop("Dataset")
    fields = own["properties"]
    formats = [entry_schema(SOURCES, name, "format", fields, own["required"]) for name in SOURCES]
    formats.append(_foreign("format", fields, own["required"]))
    resources = {"$ref": "#/$defs/Resources"}
    stages: Schema = {}
    for stage, registry in BACKENDS.items():
        choices = [entry_schema(registry, name, "backend", {"resources": resources}, []) for name in registry]
        stages[stage] = {"anyOf": [*choices, _foreign("backend", {"resources": resources}, [])]}
    definitions.pop("StageChoice", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of relforge",
        "type": "object",
        "required": ["dataset", "run", "stages"],
        "additionalProperties": False,
        "properties": {
            "dataset": {"anyOf": formats},
            "run": {"$ref": "#/$defs/Run"},
            "stages": {
                "type": "object",
                "minProperties": 1,
                "properties": stages,
                "additionalProperties": _foreign("backend", {"resources": resources}, []),
            },
        },
        "$defs": definitions,
    }


def entry_schema(registry: Registry, name: str, key: str, fields: Schema, required: Sequence[str]) -> Schema:
    """What a section holds whose `key` chooses this entry: fields that all entries have, and its options."""
    target = registry.load(name)
    options = option_schemas(target, registry.target(name))
    needed = [one for one, value in signature(target).parameters.items() if value.default is value.empty]
    needed = [one for one in needed if one in options and one not in fields]
    return {
        "type": "object",
        "title": name,
        "required": sorted({key, *required, *needed}),
        "additionalProperties": False,
        "properties": {**options, **fields, key: {"const": name}},
    }


def _foreign(key: str, fields: Schema, required: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "title": "package.module:Class",
        "required": sorted({key, *required}),
        "properties": {**fields, key: _OWN},
    }


def option_schemas(target: Callable[..., Any], name: str) -> Schema:
    """Option -> schema, of a constructor or dataclass; `name` is its `module:attribute`."""
    stated = option_types(target)
    meanings = {one.name: one.meaning for one in describe_options(target, name)}
    found: Schema = {}
    for option in parameters(target)[0]:
        schema = {"anyOf": [type_schema(stated.get(option, Any)), REFERENCE]}
        found[option] = schema | ({"description": meanings[option]} if meanings.get(option) else {})
    return found


def type_schema(stated: Any) -> Schema:
    """The schema of a Python type; `{}`, anything, where there is no simple one."""
    origin, arguments = get_origin(stated), get_args(stated)
    plain = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    if stated in plain:
        return {"type": plain[stated]}
    if origin in (Union, UnionType):
        return {"anyOf": [type_schema(one) for one in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if isclass(origin) and issubclass(origin, Mapping):
        return {"type": "object"}
    if isclass(origin) and issubclass(origin, Sequence):
        return {"type": "array", "items": type_schema(arguments[0])} if arguments else {"type": "array"}
    return {}


def _with_references(definition: Schema) -> Schema:
    """A definition of pydantic's whose fields may be references too; its description is of the code."""
    fields = {
        name: {"anyOf": [{k: v for k, v in one.items() if k not in ("title", "default")}, REFERENCE]}
        for name, one in definition.get("properties", {}).items()
    }
    kept = {key: value for key, value in definition.items() if key != "description"}
    return {**kept, "properties": fields}


def _describe(definition: Schema, meanings: Mapping[str, str]) -> None:
    for name, field in definition["properties"].items():
        if name in meanings:
            field["description"] = meanings[name]

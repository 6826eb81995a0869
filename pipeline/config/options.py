"""Which options a backend or a dataset format takes, read from its constructor."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from relforge.contracts import WrongKind
from relforge.pipeline.config.option_types import describe_mismatch, option_types
from relforge.pipeline.config.source import ConfigError, Source, unknown_key
from relforge.registry import Registry, UnknownName

_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


def constructor(source: Source, field: str, registry: Registry, name: str) -> Callable[..., Any]:
    """The callable behind a name of a registry, or behind `package.module:Class`.

    Raises:
        ConfigError: an unknown name (with the nearest or all choices), code that cannot be
            imported, or that does not satisfy the contract (it is not called).
    """
    try:
        return registry.load(name)
    except (UnknownName, WrongKind) as error:
        raise ConfigError(source.name, field, str(error)) from error
    except ModuleNotFoundError as error:
        raise ConfigError(
            source.name, field, f"{name!r} needs the Python package {error.name!r}, which is not installed"
        ) from error
    except AttributeError as error:
        raise ConfigError(source.name, field, str(error)) from error


def parameters(target: Callable[..., Any]) -> tuple[list[str], bool]:
    """Names of the options a constructor takes, and whether it takes others too (`**options`)."""
    declared = inspect.signature(target).parameters.values()
    named = [one.name for one in declared if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    return named, any(one.kind is one.VAR_KEYWORD for one in declared)


def _join(field: str, key: str) -> str:
    return f"{field}.{key}" if field else key


def construct(
    source: Source,
    field: str,
    target: Callable[..., Any],
    options: Mapping[str, Any],
    internal: tuple[str, ...] = (),
) -> Any:
    """Build the object, turning what its constructor refuses into a `ConfigError`.

    Args:
        field: dotted path of the section the options were written in.
        internal: options that the run fills in (its seed, ...); not offered as choices.
    """
    names, open_ended = parameters(target)
    for key in options:
        if key not in names and not open_ended:
            choices = [name for name in names if name not in internal]
            raise ConfigError(source.name, _join(field, key), unknown_key(key, choices))
    for name, one in inspect.signature(target).parameters.items():
        if name in names and one.default is one.empty and options.get(name) is None:
            here = _join(field, name)
            raise ConfigError(source.name, here, f"missing; {source.fix(here)}")
    stated = option_types(target)
    for key, value in options.items():
        if expected := describe_mismatch(value, stated.get(key)):
            fix = f"; write [{value}]" if expected.startswith("a list") and isinstance(value, str) else ""
            raise ConfigError(source.name, _join(field, key), f"expected {expected}, found {value!r}{fix}")
    try:
        return target(**options)
    except TypeError as error:
        unexpected = _UNEXPECTED.search(str(error))
        if unexpected is None or unexpected.group(1) not in options:
            raise
        key = unexpected.group(1)
        raise ConfigError(source.name, _join(field, key), f"unknown key {key!r}") from error
    except (ValueError, OSError) as error:
        raise ConfigError(source.name, field, str(error)) from error

"""`${NAME}`: how the secrets of a job are written in its run folder, and how they are had again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from relforge.pipeline.errors import RunError
from relforge.redaction import HIDDEN, hide

if TYPE_CHECKING:
    from relforge.pipeline.run.job import Job

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""`${NAME}` or `${NAME:-default}`."""


def store_references(record: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Put what is stored in place of every secret of a job's record, as `dataclasses.asdict` makes it."""
    for dotted, text in secrets.items():
        for tree, keys in _places(record, dotted):
            put(tree, keys, text)


def resolve_references(job: Job, environment: Mapping[str, str]) -> Job:
    """A job read from a run folder, with the secrets that it only refers to.

    Raises:
        RunError: a variable is not set, or the secret was written out in the config and is stored nowhere.
    """
    if not job.secrets:
        return job
    record = job.to_dict()
    for dotted, text in job.secrets.items():
        if text == HIDDEN:
            raise RunError(
                f"{dotted} is a secret that the config holds itself, so the run folder does not have it; "
                "write it as ${NAME} in the config and give `relforge run` once"
            )
        value = REFERENCE.sub(partial(_value, dotted, environment), text)
        for tree, keys in _places(record, dotted):
            put(tree, keys, value)
    resolved = replace(type(job).from_dict(record), secrets=job.secrets)
    hide_secrets(resolved)
    return resolved


def hide_secrets(job: Job) -> None:
    """Keep the secrets of a job out of all that this process prints or records."""
    for dotted, text in job.secrets.items():
        for value in _values(job, dotted):
            hide(value)
            pattern = "(.+)".join(re.escape(part) for part in REFERENCE.split(text)[::3])
            if found := re.fullmatch(pattern, value, re.DOTALL):
                for part in found.groups():
                    hide(part)


def put(tree: Any, keys: list[str], text: str) -> None:
    """Set a value that is there; nothing happens where it is not."""
    for key in keys[:-1]:
        tree = _child(tree, key)
    if _child(tree, keys[-1]) is not None:
        tree[int(keys[-1]) if isinstance(tree, list) else keys[-1]] = text


def _value(dotted: str, environment: Mapping[str, str], found: re.Match[str]) -> str:
    name, default = found.groups()
    value = environment.get(name) or default
    if value is None:
        raise RunError(f"{dotted} of this run is taken from environment variable {name}, which is not set")
    return value


def _values(job: Job, dotted: str) -> Iterator[str]:
    for tree, keys in _places(asdict(job), dotted):
        for key in keys:
            tree = _child(tree, key)
        if isinstance(tree, str):
            yield tree


def _places(record: Mapping[str, Any], dotted: str) -> Iterator[tuple[Any, list[str]]]:
    """Where a field of the config is in a job's record: (tree, keys from there)."""
    yield record["config"], dotted.split(".")
    section, _, rest = dotted.partition(".")
    if section == "dataset":
        owner = record["source"]
    elif section == "stages":
        name, _, rest = rest.partition(".")
        owner = next((spec for spec in record["stages"] if spec["name"] == name), None)
    else:
        return
    if owner and rest:
        resources, dot, below = rest.partition(".")
        if resources == "resources" and dot:
            yield owner["resources"], below.split(".")
        else:
            yield owner["options"], rest.split(".")


def _child(tree: Any, key: str) -> Any:
    if isinstance(tree, dict):
        return tree.get(key)
    if isinstance(tree, list) and key.isdigit() and int(key) < len(tree):
        return tree[int(key)]
    return None

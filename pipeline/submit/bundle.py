"""The folder that a Ray job runs in: the package itself and the config, nothing else."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import yaml

import relforge

CONFIG = "config.yaml"
_NAMES = ("name", "dataset", "split", "format", "backend", "profile")
_PATHS = ("annotations", "images", "image_data", "root", "boxes", "relations", "classes", "sizes")
"""Fields of a dataset that relforge's own formats take paths in."""
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def write_bundle(folder: Path, values: dict[str, Any]) -> None:
    """Fill `folder` with the package, links resolved, and the config.

    Works from a checkout, an editable install and a wheel alike. Tests, benchmarks and data of a
    checkout are not part of the package and stay at home.

    Args:
        folder: an empty folder.
        values: the config with overrides and references resolved.
    """
    package = Path(relforge.__file__).parent
    shutil.copytree(package, folder / "relforge", ignore=_LEFT_OUT)
    (folder / CONFIG).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def absolute(values: dict[str, Any]) -> dict[str, Any]:
    """A config with absolute paths: the job runs in another directory, and a cluster that shares this file
    system finds them there.

    The files and folders of a dataset are paths, or patterns of paths, whether they exist here or not. In
    other fields a relative path is a text that exists here and looks like one. A name stays a name, even
    where a file has the same one.
    """
    dataset = values.get("dataset")
    found = {key: _existing(value) for key, value in values.items() if key != "dataset"}
    if not isinstance(dataset, dict):
        return found if dataset is None else {"dataset": dataset, **found}
    kept = {
        key: value if key in _NAMES else _path(value) if key in _PATHS else _existing(value)
        for key, value in dataset.items()
    }
    return {"dataset": kept, **found}


def _path(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _path(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_path(below) for below in value]
    if not isinstance(value, str) or "://" in value or value.startswith("~") or value == "{file_name}":
        return value
    return os.path.abspath(value)


def _existing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: below if key in _NAMES else _existing(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_existing(below) for below in value]
    if isinstance(value, str) and ("/" in value or "." in value) and os.path.exists(value):
        return os.path.abspath(value)
    return value


def requirements() -> list[str]:
    """relforge's own dependencies, for a cluster that has Ray and nothing else."""
    listed = [line for line in requires("relforge") or [] if "extra ==" not in line]
    return [line for line in listed if not line.lower().startswith("ray")]

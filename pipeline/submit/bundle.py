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


def absolute(value: Any) -> Any:
    """Replace relative paths that exist here by absolute ones, anywhere in a config.

    The job runs in another directory, and a cluster that shares this file system finds them there.
    """
    if isinstance(value, dict):
        return {key: absolute(below) for key, below in value.items()}
    if isinstance(value, list):
        return [absolute(below) for below in value]
    if isinstance(value, str) and ("/" in value or "." in value) and os.path.exists(value):
        return os.path.abspath(value)
    return value


def requirements() -> list[str]:
    """relforge's own dependencies, for a cluster that has Ray and nothing else."""
    listed = [line for line in requires("relforge") or [] if "extra ==" not in line]
    return [line for line in listed if not line.lower().startswith("ray")]

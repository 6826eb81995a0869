"""What a path of the user's is, so that a command given the wrong kind of file names the right one."""

from __future__ import annotations

import json
from pathlib import Path

from relforge.limited_yaml import MAX_CHARACTERS, YamlError, read_yaml

RUN = "a run folder"
MODEL = "a model folder"
TABLES = "a folder of Parquet files"
CONFIG = "the config of a run"
RECIPE = "a training recipe"
PARQUET = "a Parquet file"
ANNOTATIONS = "a COCO-format annotation file"
JSON = "a JSON file"
IMAGE = "an image"

INSTEAD = {
    RUN: "`relforge status`, `rerun`, `export` and `eval labels` take it",
    MODEL: "`relforge eval` measures it, a config names it as `model`, a recipe as `model.start`",
    TABLES: "`relforge inspect` reads it, and `dataset.format: parquet`",
    CONFIG: "`relforge run` runs it",
    RECIPE: "`relforge train` trains it",
    PARQUET: "`relforge inspect` reads it",
    ANNOTATIONS: "a config names it as `dataset.annotations`, a recipe in `data`",
    JSON: "a config names it as a file of its dataset or captions",
    IMAGE: "`relforge label` labels one",
}
"""Kind -> the commands that take it."""

_IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_HEAD = 1 << 16


def find_kind(path: str) -> str | None:
    """One of the kinds above; None for what is none of them, is not there, or is not on this machine."""
    here = Path(path).expanduser()
    if "://" in path or not here.exists():
        return None
    if here.is_dir():
        if (here / "run.json").is_file():
            return RUN
        if (here / "config.json").is_file():
            return MODEL
        return TABLES if next(here.glob("*.parquet"), None) else None
    suffix = here.suffix.lower()
    if suffix in _IMAGES:
        return IMAGE
    if suffix == ".parquet":
        return PARQUET
    if suffix in (".yaml", ".yml"):
        return _kind_of_yaml(here)
    return _kind_of_json(here) if suffix == ".json" else None


def is_recipe(values: object) -> bool:
    """Whether the values of a YAML file are those of a training recipe, and not of a run."""
    return isinstance(values, dict) and "model" in values and not {"stages", "dataset"} & values.keys()


def is_config(values: object) -> bool:
    """Whether the values of a YAML file are those of a run."""
    return isinstance(values, dict) and len({"stages", "dataset", "run"} & values.keys()) > 1


def _kind_of_yaml(file: Path) -> str | None:
    try:
        if file.stat().st_size > MAX_CHARACTERS:
            return None
        values = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlError):
        return None
    if is_recipe(values):
        return RECIPE
    return CONFIG if is_config(values) else None


def _kind_of_json(file: Path) -> str:
    """By its first bytes: annotation files are too large to be read for an error sentence."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return JSON
    names = (b'"annotations"', b'"images"', b'"categories"')
    try:
        found = isinstance(json.loads(head), dict) and all(name in head for name in names)
    except ValueError:
        found = head.lstrip().startswith(b"{") and any(name in head for name in names)
    return ANNOTATIONS if found else JSON

"""A config's second round: the same boxes, labelled by a model that learnt from its labels.

`relforge run CONFIG --relabel MODEL` takes the dataset and the selection of CONFIG. The stage `relabel` takes
the place of those that labelled; the run folder of CONFIG is its first round.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from typing import Any

from relforge.pipeline.config.source import ConfigError, Source
from relforge.stages.relabel.kind import stored_kind

STAGE = "relabel"
REPLACED = ("caption", "parse", "match", "ground", "propose", "tag", "image_labels")
"""Stages of the first round that the second goes without."""
_SEEN = ("short_side", "long_side", "device")
"""Options of an R-Tagger that its successor keeps: how images are seen."""
_ROUND = re.compile(r"(?P<name>.*)_round_(?P<number>\d+)")


def second_round(source: Source, model: str) -> Source:
    """The config of the next round.

    Args:
        source: of the round before; `stages.relabel` may hold options of the next.
        model: folder, hub name or file of the trained model.

    Raises:
        ConfigError: there is no such model, or the config has no run folder or stages.
    """
    values = deepcopy(source.values)
    folder, stages = values.get("run", {}), values.get("stages")
    folder = folder.get("folder") if isinstance(folder, dict) else None
    if not isinstance(folder, str) or not isinstance(stages, dict):
        raise ConfigError(source.name, "", "is no config of a run with `run.folder` and `stages`")
    try:
        kind = stored_kind(model)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError("--relabel", "", f"{error}; train one with relforge train RECIPE") from error
    tag = stages.get("tag")
    seen = tag if isinstance(tag, dict) and tag.get("backend") == "rtagger" else {}
    given = stages.get(STAGE) or {}
    backend = "rtagger" if kind == "rtagger" else "detector"
    relabel: dict[str, Any] = {"backend": backend} | {key: seen[key] for key in _SEEN if key in seen}
    relabel |= given | {"model": model, "first_round": folder}
    kept = {name: one for name, one in stages.items() if name not in (*REPLACED, STAGE)}
    if relabel["backend"] == "detector" and isinstance(kept.get("select"), dict):
        kept["select"].setdefault("confidence", "product")  # a detector may be wrong about the ends too
    values["run"]["folder"] = next_folder(folder)
    values["stages"] = {STAGE: relabel, **kept}
    left = tuple(f"stages.{name}." for name in REPLACED)
    return replace(
        source,
        values=values,
        references={key: one for key, one in source.references.items() if not key.startswith(left)},
        written={key: one for key, one in source.written.items() if not key.startswith(left)},
    )


def next_folder(folder: str) -> str:
    """The run folder of the round after: `runs/coco` -> `runs/coco_round_2` -> `runs/coco_round_3`."""
    found = _ROUND.fullmatch(folder.rstrip("/"))
    name, number = (found["name"], int(found["number"])) if found else (folder.rstrip("/"), 1)
    return f"{name}_round_{number + 1}"

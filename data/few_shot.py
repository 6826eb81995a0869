"""Few-shot training sets: a share of the images, drawn by seed and kept in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.relations import RelationData, take

OPTIONS = ("share", "seed", "list")


def few_images(data: RelationData, options: Mapping[str, Any]) -> RelationData:
    """The images of a few-shot training set.

    Args:
        options: `share` of the images (0.01 for 1 %) and `seed` (0) of the drawing; `list`, a file that keeps
            what was drawn: where it exists it is read, and `share` and `seed`, if given, must be its own.

    Raises:
        ValueError: an unknown option, neither share nor list, or a list that does not fit.
        OSError: the list cannot be read or written.
    """
    if not isinstance(options, Mapping):
        raise ValueError(f"data: few_shot: expected a mapping such as {{share: 0.01}}, found {options!r}")
    if unknown := [name for name in options if name not in OPTIONS]:
        raise ValueError(f"data: few_shot: unknown option {unknown[0]}; choose from {', '.join(OPTIONS)}")
    path = Path(options["list"]) if "list" in options else None
    if path is not None and path.exists():
        return _only(data, _read(path, options), path)
    if "share" not in options:
        raise ValueError(
            f"data: few_shot: give share, such as 0.01{f': {path} is not there' if path else ''}"
        )
    share, seed = float(options["share"]), int(options.get("seed", 0))
    ids = draw_few(data, share, seed)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"share": share, "seed": seed, "images": ids}, indent=1))
        partial.replace(path)
    return _only(data, ids, path)


def draw_few(data: RelationData, share: float, seed: int) -> list[str]:
    """Image ids in the order of the data.

    One image for every predicate and for every class of an object, then others up to the share. Published
    drawing takes one image a verb and fills up at random, again and again until every class occurs, which a
    small share of few images never reaches; here the drawing goes over the share instead.

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"data: few_shot: {share} is no share of the images, such as 0.01")
    order = np.random.default_rng(seed).permutation(len(data))
    rank = np.argsort(order)
    image = np.repeat(np.arange(len(data)), np.diff(data.pair_start))  # of every pair
    of_pair = np.repeat(np.arange(len(data.pairs)), np.diff(data.relation_start))
    chosen: dict[int, None] = {}
    for labels, images in ((data.relations, image[of_pair]), (data.object_categories(), image)):
        for label in np.unique(labels):
            with_it = np.unique(images[labels == label])
            if not any(one in chosen for one in with_it.tolist()):
                chosen[int(with_it[np.argmin(rank[with_it])])] = None
    quota = int(len(data) * share)
    for one in order.tolist():
        if len(chosen) >= quota:
            break
        chosen[one] = None
    ids = data.images["image_id"].to_pylist()
    return [ids[place] for place in sorted(chosen)]


def _read(path: Path, options: Mapping[str, Any]) -> list[str]:
    try:
        kept = json.loads(path.read_text())
        ids = [str(name) for name in kept["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected {{share, seed, images: [...]}}: {error!r}") from error
    for name in ("share", "seed"):
        if name in options and options[name] != kept.get(name):
            raise ValueError(
                f"{path} was drawn with {name} {kept.get(name)}, not {options[name]}; name another list"
            )
    return ids


def _only(data: RelationData, ids: Sequence[str], path: Path | None) -> RelationData:
    place = {name: row for row, name in enumerate(data.images["image_id"].to_pylist())}
    if missing := [name for name in ids if name not in place]:
        raise ValueError(f"{path}: image {missing[0]!r} is not in the data")
    return take(data, np.array(sorted({place[name] for name in ids}), np.int64))

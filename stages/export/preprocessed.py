"""Visual Genome as RLIPv2 trains on it: `scene_graphs_after_preprocessing.json`, without redundant
relations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.stages.export.json_rows import write_json_rows
from relforge.stages.export.rlipv2 import visual_genome_image
from relforge.stages.export.scenes import Scene, read_scenes


def write(
    tables: Iterable[Mapping[str, pa.Table]],
    path: Path,
    object_aliases: str | None = None,
    predicate_aliases: str | None = None,
    overlap: float = 0.7,
    max_relations: int = 100,
) -> dict[str, int]:
    """`[{image_id, width, height, objects, relationships}]` with one name an object, one image a line.

    A relation is redundant where an earlier one of the image has the same predicate between the same classes,
    aliases included, and both its boxes overlap those of the earlier one (RLIPv2's `vg_preprocess`; one pixel
    is added to widths and heights). Names are those of the source; ingest lower-cases Visual Genome's.

    Args:
        object_aliases, predicate_aliases: Visual Genome's `object_alias.txt` and `relationship_alias.txt`;
            the names of a line mean the same. Without them equal names do.
        overlap: IoU from which boxes are the same.
        max_relations: of an image, the first; more are left out.

    Returns:
        images, boxes, relations; `left_out`: redundant ones and those above `max_relations`.

    Raises:
        ValueError: a file of aliases cannot be read.
    """
    classes, predicates = _read_aliases(object_aliases), _read_aliases(predicate_aliases)
    counts = Counter(images=0, boxes=0, relations=0, left_out=0)

    def rows() -> Iterator[dict[str, Any]]:
        for shard in tables:
            for scene in read_scenes(shard, counts):
                kept = drop_redundant(scene, classes, predicates, overlap)[:max_relations]
                counts["left_out"] += len(scene.relations) - len(kept)
                row = visual_genome_image(Scene(scene.image, scene.boxes, kept))
                for one in row["objects"]:
                    one["names"] = one["names"][0]
                counts.update(images=1, boxes=len(row["objects"]), relations=len(row["relationships"]))
                yield row

    write_json_rows(path, rows())
    return dict(counts)


def drop_redundant(
    scene: Scene, classes: Mapping[str, str], predicates: Mapping[str, str], overlap: float
) -> list[dict[str, Any]]:
    """The relations of an image that no earlier one says already.

    Args:
        classes, predicates: name -> the name that stands for it; others stand for themselves.
        overlap: IoU from which boxes are the same.
    """
    boxes = {box["box_id"]: box for box in scene.boxes}
    said: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    kept = []
    for relation in scene.relations:
        ends = relation["subject_box"], relation["object_box"]
        names = [classes.get(boxes[end]["category"], boxes[end]["category"]) for end in ends]
        predicate = predicates.get(relation["predicate"], relation["predicate"])
        earlier = said[names[0], predicate, names[1]]
        if not any(
            all(_overlap(boxes[a], boxes[b]) >= overlap for a, b in zip(ends, other, strict=True))
            for other in earlier
        ):
            earlier.append(ends)
            kept.append(relation)
    return kept


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """IoU of two boxes whose last pixels are at x + w and y + h."""
    low = np.maximum([one["x"], one["y"]], [other["x"], other["y"]])
    ends = [[box["x"] + box["w"], box["y"] + box["h"]] for box in (one, other)]
    high = np.minimum(ends[0], ends[1])
    shared = float(np.prod(np.maximum(high - low + 1, 0)))
    area, other_area = ((box["w"] + 1) * (box["h"] + 1) for box in (one, other))
    return shared / (area + other_area - shared)


def _read_aliases(path: str | None) -> dict[str, str]:
    """Name -> the first name of its line."""
    if path is None:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no file of aliases: {error}") from error
    found: dict[str, str] = {}
    for line in lines:
        names = [name.strip() for name in line.lower().split(",") if name.strip()]
        for name in names[1:]:
            found.setdefault(name, found.get(names[0], names[0]))
    return found

"""Human-object interaction files as training data: `HoiData` -> `RelationData`, as published training reads
them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from relforge.data.hoi import HoiData, HoiImage
from relforge.data.hoi_targets import HoiTarget, training_target
from relforge.data.relations import RelationData
from relforge.images import MAX_PIXELS, ImageError, read_size
from relforge.stages.ingest.image_files import ImageFiles

_THREADS = 8
"""That read image headers; they wait for storage most of the time."""


def relations_of(
    data: HoiData,
    files: ImageFiles,
    *,
    max_pairs: int,
    max_boxes: int | None = None,
    keep_empty: bool = True,
    split: str = "",
    orientation: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> RelationData:
    """Boxes clipped to the image, empty ones and their rows left out, rows of one pair joined
    (`training_target`).

    Every class and verb of the file keeps its place in the names, whether or not a row has it. Reasons beside
    those of
    reading: `no_size` (neither the file nor an image file says how large the image is), `broken_image` (a row
    names a box that is not there; published training leaves the whole image out), `row_of_empty_box`,
    `repeated_row`, `over_max_pairs`, `image_without_rows`.

    Args:
        files: where the image files are; read only for sizes that the annotation lacks.
        max_pairs: pairs of an image, the first in the file.
        max_boxes: boxes of an image that count, the first; None: all. Published: the model's queries.
        keep_empty: keep images without a row, as published.
        split: for patterns of `files` with `{split}`.
        orientation, max_pixels: of the images, see `images.decode_oriented`.
    """
    reasons = Counter(data.reasons)
    names = [image.file_name for image in data.images]
    ids = [PurePosixPath(name).stem for name in names]
    uris = files.uris(pa.array(ids, pa.string()), pa.array(names, pa.string()), split).to_pylist()
    sizes = read_sizes(data.images, uris)
    kept: list[tuple[int, tuple[int, int], HoiTarget]] = []
    for place, (image, size) in enumerate(zip(data.images, sizes, strict=True)):
        if size is None:
            reasons["no_size"] += 1
            continue
        target = training_target(image, size, len(data.verbs), max_boxes)
        if target is None:
            reasons["broken_image"] += 1
            continue
        known = int(target.verbs.sum())
        distinct = len({tuple(row) for row in image.interactions.tolist()})
        reasons["repeated_row"] += len(image.interactions) - distinct
        reasons["row_of_empty_box"] += distinct - known
        reasons["over_max_pairs"] += int(target.verbs[max_pairs:].sum())
        target = replace(target, pairs=target.pairs[:max_pairs], verbs=target.verbs[:max_pairs])
        if len(target.pairs) or keep_empty:
            kept.append((place, size, target))
        else:
            reasons["image_without_rows"] += 1
    table = {
        "image_id": pa.array([ids[place] for place, _, _ in kept], pa.string()),
        "uri": pa.array([uris[place] for place, _, _ in kept], pa.string()),
        "width": pa.array([width for _, (width, _), _ in kept], pa.int32()),
        "height": pa.array([height for _, (_, height), _ in kept], pa.int32()),
        "bytes": pa.nulls(len(kept), pa.binary()),
        "orientation": pa.repeat(pa.scalar(orientation, pa.string()), len(kept)),
        "max_pixels": pa.repeat(pa.scalar(max_pixels, pa.int64()), len(kept)),
    }
    targets = [target for _, _, target in kept]
    boxes = np.concatenate([np.zeros((0, 4)), *(target.boxes for target in targets)])
    verbs = [np.flatnonzero(row) for target in targets for row in target.verbs]
    return RelationData(
        images=pa.table(table),
        boxes=np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float32),
        box_category=np.concatenate([np.zeros(0, np.int64), *(target.classes for target in targets)]),
        box_start=_starts([len(target.boxes) for target in targets]),
        pairs=np.concatenate([np.zeros((0, 2), np.int64), *(target.pairs for target in targets)]),
        pair_start=_starts([len(target.pairs) for target in targets]),
        relations=np.concatenate([np.zeros(0, np.int64), *verbs]),
        relation_start=_starts([len(row) for row in verbs]),
        categories=list(data.objects),
        predicates=list(data.verbs),
        reasons=+reasons,
    )


def detection_data(data: HoiData, images: str | Sequence[str]) -> RelationData:
    """The images of a file for a model to detect in: those whose size is known.

    Args:
        images: folder or pattern of the image files.
    """
    return relations_of(data, ImageFiles(images), max_pairs=0, orientation="stored")


def read_sizes(images: Sequence[HoiImage], uris: Sequence[str | None]) -> list[tuple[int, int] | None]:
    """(width, height) of every image: its own, or that of the stored pixels of its file; None: neither
    says."""
    unknown = [place for place, image in enumerate(images) if image.size is None]
    found = [image.size for image in images]
    for place, size in zip(unknown, sizes_of([uris[place] for place in unknown]), strict=True):
        found[place] = size
    return found


def sizes_of(uris: Sequence[str | None]) -> list[tuple[int, int] | None]:
    """(width, height) of the stored pixels of every file; None where it cannot be read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_size, uris))


def _size(uri: str | None) -> tuple[int, int] | None:
    try:
        return None if uri is None else read_size(uri)
    except ImageError:
        return None


def _starts(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.array(counts, np.int64))])

"""Open Images V6 visual relations: the converted HICO-style JSON, or the CSV files of the release.

* converted (`OI_SGG_test.json` of RLIPv2): a list of images (`hoi_json`) with `rel_annotations`; category ids
  and predicates count from 0, and their names are in a file of their own with the keys `obj` and `rel`, each
  a list of names, or names with their numbers.
* `oidv6-test-annotations-vrd.csv` with class names and image sizes, read by ingest's `openimages`.
"""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.data.hoi import HoiData
from relforge.data.hoi_relations import sizes_of
from relforge.data.open_images_list import read_converted
from relforge.data.source_tables import read_source
from relforge.data.table_images import images_of
from relforge.stages.ingest.csv_file import read_csv
from relforge.stages.ingest.image_files import ImageFiles


def read_open_images(
    annotations: str,
    categories: str = "",
    classes: str = "",
    sizes: str = "",
    images: str | None = None,
) -> HoiData:
    """Read a split; which form it is shows in its name.

    Args:
        annotations: JSON or CSV.
        categories: JSON of names, for JSON annotation.
        classes, sizes: CSV of class names and of image sizes, for CSV annotation.
        images: folder or pattern of the image files; where there are no `sizes`, they are read from these.

    Raises:
        ValueError: a file of another form, or one that is needed and missing.
        OSError: a file cannot be read.
    """
    if not annotations.endswith(".csv"):
        return read_converted(annotations, categories)
    options: dict[str, Any] = {"relations": annotations} | ({"classes": classes} if classes else {})
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        if not sizes:
            if images is None:
                raise ValueError(
                    f"{annotations} has shares of the image for pixels: give sizes=FILE or images=FOLDER"
                )
            sizes = str(_write_sizes(Path(folder), annotations, images, reasons))
        shards: Iterator[dict[str, pa.Table]] = read_source("openimages", options | {"sizes": sizes}, reasons)
        found = images_of(shards)
    return HoiData(found.images, found.objects, found.verbs, +reasons)


def _write_sizes(folder: Path, annotations: str, images: str, reasons: Counter[str]) -> Path:
    """A CSV of the sizes that the image files have; counts those without (`no_size`)."""
    table = read_csv(annotations, {"ImageID": pa.string()})
    ids = [name for name in table["ImageID"].unique().to_pylist() if name is not None]
    names = pa.array([f"{name}.jpg" for name in ids], pa.string())
    found = sizes_of(ImageFiles(images).uris(pa.array(ids, pa.string()), names, "").to_pylist())
    reasons["no_size"] += sum(size is None for size in found)
    path = folder / "sizes.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["ImageID", "Width", "Height"])
        rows.writerows([name, *size] for name, size in zip(ids, found, strict=True) if size is not None)
    return path

"""Open Images V6 visual relations: the converted HICO-style JSON, or the CSV files of the release.

* converted (`OI_SGG_test.json` of RLIPv2): a list of images (`hoi_json`) with `rel_annotations`; category ids
  and predicates count from 0, and their names are in a file of their own with the keys `obj` and `rel`, each
  a list of names, or names with their numbers.
* `oidv6-test-annotations-vrd.csv` with class names and image sizes, read by ingest's `openimages`.
"""

from __future__ import annotations

from typing import Any

from relforge.data.hoi import HoiData
from relforge.data.hoi_json import load_json, read_hoi_json
from relforge.data.relations import RelationData
from relforge.data.sources import load_relations

_ALL = 10**6


def read_open_images(
    annotations: str, categories: str = "", classes: str = "", sizes: str = ""
) -> HoiData | RelationData:
    """Read a split; which form it is shows in its name.

    Args:
        annotations: JSON or CSV.
        categories: JSON of names, for JSON annotation.
        classes, sizes: CSV of class names and of image sizes, for CSV annotation.

    Raises:
        ValueError: a file of another form, or one that is needed and missing.
        OSError: a file cannot be read.
    """
    if annotations.endswith(".csv"):
        if not sizes:
            raise ValueError(f"{annotations} has shares of the image for pixels: give sizes=FILE")
        source = {"format": "openimages", "relations": annotations, "sizes": sizes}
        source |= {"classes": classes} if classes else {}
        return load_relations([source], keep_empty=True, max_pairs=_ALL)
    if not categories:
        raise ValueError(f"{annotations} has numbers for names: give categories=FILE with obj and rel")
    document = load_json(categories)
    try:
        objects, predicates = (_names(document[key]) for key in ("obj", "rel"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{categories}: expected lists of names under obj and rel: {error!r}") from error
    codes = {number: number for number in range(len(objects))}
    return read_hoi_json(annotations, objects, predicates, codes, 0, "rel_annotations")


def _names(given: Any) -> list[str]:
    """Names by number, from a list, {name: number} or {number: name}."""
    if isinstance(given, list):
        return [str(name) for name in given]
    if all(isinstance(value, int) for value in given.values()):
        given = {number: name for name, number in given.items()}
    by_number = {int(number): str(name) for number, name in given.items()}
    return [by_number.get(number, "") for number in range(max(by_number) + 1)]

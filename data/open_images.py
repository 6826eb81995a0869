"""Open Images V6 visual relations: the converted HICO-style JSON, or the CSV files of the release.

* converted (`OI_SGG_test.json` of RLIPv2): a list of images (`hoi_json`) with `rel_annotations`; category ids
  and predicates count from 0, and their names are in a file of their own with the keys `obj` and `rel`, each
  a list of names, or names with their numbers.
* `oidv6-test-annotations-vrd.csv` with class names and image sizes, read by ingest's `openimages`.
"""

from __future__ import annotations

from relforge.data.hoi import HoiData
from relforge.data.open_images_list import read_converted
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
    return read_converted(annotations, categories)

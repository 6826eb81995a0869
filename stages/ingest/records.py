"""What an adapter passes to the shard builder: records as arrays, read and not yet checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from relforge.stages.class_table import Origin
from relforge.stages.ingest.spill import RelationBuffer, SpillBuffer


@dataclass
class ImageColumns:
    """Image records; about 100 bytes each.

    Args:
        codes: N int64, image ids as codes.
        sizes: N x 2 int32, width and height in pixels; 0 where the record gives none.
        file_names: N string array, null where the record gives none.
        dataset, split: written to the `images` table; one text for all images, or N.
        shared_names: N bool, which file names another image has too, but for folder, case and extension;
            null where not known. Filled in by the shard builder.
        uris: N string array of the image files' URIs, null where there is none; None: made of file names.
    """

    codes: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    sizes: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int32))
    file_names: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    dataset: str | pa.Array = ""
    split: str | pa.Array = ""
    shared_names: pa.Array = field(default_factory=lambda: pa.array([], pa.bool_()))
    uris: pa.Array | None = None

    def take(self, rows: np.ndarray) -> ImageColumns:
        """The records of these rows, in this order."""
        at = pa.array(rows)
        dataset, split = (
            value if isinstance(value, str) else value.take(at) for value in (self.dataset, self.split)
        )
        shared = self.shared_names.take(at) if len(self.shared_names) else pa.nulls(len(rows), pa.bool_())
        uris = None if self.uris is None else self.uris.take(at)
        return ImageColumns(
            self.codes[rows], self.sizes[rows], self.file_names.take(at), dataset, split, shared, uris
        )


@dataclass
class Records:
    """Images with their boxes and relations, of one file, or of one batch of images.

    Args:
        images: in the order of the source.
        boxes: `BOX` records.
        relations: `RELATION` records.
        categories: category code -> class name.
        classes: every class that the source lists -> the synonyms it gives; empty where it lists none.
        origins: class -> its id and supercategory in that list, where it has them.
        nested: whether the file has boxes and relations inside their image's record. Then their `image` is
            the image's place in `images`, box ids need only be unique in an image, and relations are
            numbered in each image. Otherwise `image` is an image id's code, and box ids are unique.
        file: what errors call the file, or the dataset where there are several.
        left_out: reason -> records that the adapter leaves out by a rule; counted in the first shard.
    """

    images: ImageColumns
    boxes: SpillBuffer
    relations: RelationBuffer
    categories: Mapping[int, str]
    nested: bool = False
    file: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

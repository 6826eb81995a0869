"""Image records and spooled boxes to shards: the part all grouped formats share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.pictures import Pictures
from relforge.stages.ingest.shard import IMAGE_REASONS, ShardBuilder
from relforge.stages.ingest.spool import RelationSpool, Spool


@dataclass
class ImageRecords:
    """The images of one file, in its order; about 100 bytes each.

    Args:
        codes: N int64, image ids as codes.
        sizes: N x 2 int32, width and height in pixels; 0 where the record gives none.
        file_names: N string array, null where the record gives none.
    """

    codes: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    sizes: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int32))
    file_names: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))


class Assembler:
    """Turns one annotation file after another into shards, and remembers the image ids seen.

    Args:
        dataset: name written to the `images` table.
        ids: what the codes mean; shared by all files.
        shard_images: image records per shard.
    """

    def __init__(self, dataset: str, ids: Ids, shard_images: int) -> None:
        self._dataset = dataset
        self._ids = ids
        self._shard_images = shard_images
        self._seen = np.empty(0, np.int64)

    def shards(
        self,
        images: ImageRecords,
        boxes: Spool,
        relations: RelationSpool,
        categories: dict[int, str],
        split: str,
        pictures: Pictures,
    ) -> Iterator[StageResult]:
        """The shards of one file, with a `relations` table beside the three a source gives.

        Records that belong to no image of the file are accounted for in the last shard.

        Args:
            images: the file's images.
            boxes: its boxes; grouped here.
            relations: its relations; grouped here.
            categories: code -> class name.
            split: written to the `images` table.
            pictures: where the pictures are.
        """
        faults = self._image_faults(images)
        count = len(images.codes)
        for spool in (boxes, relations):
            spool.group(_rows_of(spool.column("image"), images.codes, faults), count)
        builder = ShardBuilder(
            ids=self._ids,
            dataset=self._dataset,
            split=split,
            categories=categories,
            pictures=pictures,
            repeats=_repeats(boxes.column("annotation")),
            boxes=boxes,
            relations=relations,
        )
        for start in range(0, max(count, 1), self._shard_images):
            chosen = np.arange(start, min(start + self._shard_images, count))
            chosen = chosen[np.array(pc.sort_indices(self._ids.texts(images.codes[chosen])), np.int64)]
            chunk = ImageRecords(
                images.codes[chosen], images.sizes[chosen], images.file_names.take(pa.array(chosen))
            )
            result = builder.build(chosen, chunk.codes, chunk.sizes, chunk.file_names, faults[chosen])
            if start + self._shard_images >= count:
                self._file_strays(result, boxes, relations, count)
            yield result
        self._seen = np.concatenate([self._seen, images.codes])

    def _image_faults(self, images: ImageRecords) -> np.ndarray:
        """Index into `IMAGE_REASONS` for each image, or -1."""
        first = np.zeros(len(images.codes), bool)
        first[np.unique(images.codes, return_index=True)[1]] = True
        tests = {
            "malformed_image": images.codes == NONE,
            "duplicate_image_id": np.isin(images.codes, self._seen) | ~first,
            "bad_image_size": (images.sizes <= 0).any(axis=1),
        }
        found = np.full(len(images.codes), -1)
        for reason, failed in reversed(tests.items()):
            found[failed] = list(IMAGE_REASONS).index(reason)
        return found

    def _file_strays(self, result: StageResult, boxes: Spool, relations: RelationSpool, count: int) -> None:
        """Account for the records whose image is not in the file."""
        strays = [(r["image"], r["source"]) for r in boxes.of(np.array([count]))[0]]
        strays += [(r["image"], NONE) for r in relations.of(np.array([count]))[0]]
        for image, source in strays:
            image_id = self._ids.text(int(image))
            identity = {"image_id": image_id, "source_id": self._ids.text(int(source))}
            detail = f"annotation of image {image_id or 'without id'}, which the file does not list"
            result.quarantined.append(Quarantined(identity, "unknown_image", detail))
        result.notes["rows_in"] += len(strays)


def _rows_of(owners: np.ndarray, codes: np.ndarray, faults: np.ndarray) -> np.ndarray:
    """For each record the row of its image, or the number of images where there is none.

    Of images that share an id, the records belong to the usable one.
    """
    usable_first = np.argsort(faults >= 0, kind="stable")
    known, first = np.unique(codes[usable_first], return_index=True)
    at = pc.index_in(pa.array(owners), pa.array(known[known != NONE])).fill_null(-1).to_numpy()
    rows = np.append(usable_first[first[known != NONE]], len(codes))  # the last one where -1 points
    return rows[at].astype(np.int32)


def _repeats(codes: np.ndarray) -> np.ndarray:
    """Places of the annotations whose id an earlier one has."""
    ordered = np.sort(codes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    places = np.flatnonzero(np.isin(codes, repeated[repeated != NONE]))
    return np.delete(places, np.unique(codes[places], return_index=True)[1])

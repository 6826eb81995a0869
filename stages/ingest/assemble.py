"""Image records and spooled boxes to shards: the part all grouped formats share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.ingest.boxes import REASONS, box_faults
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.pictures import PicturePattern
from relforge.stages.ingest.spool import BoxSpool
from relforge.stages.tables import SCHEMAS, empty


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
    """

    def __init__(self, dataset: str, ids: Ids) -> None:
        self._dataset = dataset
        self._ids = ids
        self._seen = np.empty(0, np.int64)

    def shards(
        self,
        images: ImageRecords,
        spool: BoxSpool,
        categories: dict[int, str],
        split: str,
        pictures: PicturePattern,
        shard_images: int,
    ) -> Iterator[StageResult]:
        """The shards of one file. Annotations of unknown images are accounted for in the last one.

        Args:
            images: the file's images.
            spool: its boxes; grouped here.
            categories: code -> class name.
            split: written to the `images` table.
            pictures: where the pictures are.
            shard_images: image records per shard.
        """
        faults = self._image_faults(images)
        rows = _rows_of(spool.column("image"), images.codes, faults)
        duplicates = _repeated(spool.column("annotation"))
        spool.group(rows, len(images.codes))
        count = len(images.codes)
        for start in range(0, max(count, 1), shard_images):
            chosen = np.arange(start, min(start + shard_images, count))
            names = self._ids.texts(images.codes[chosen])
            chosen = chosen[np.array(pc.sort_indices(names), np.int64)]
            result = _Shard(self, images, categories, split, pictures, duplicates).build(
                chosen, faults, spool
            )
            if start + shard_images >= count:
                self._strays(result, spool, count)
            yield result
        self._seen = np.union1d(self._seen, images.codes)

    def _image_faults(self, images: ImageRecords) -> np.ndarray:
        """Index into `_IMAGE_REASONS` for each image, or -1."""
        first = np.zeros(len(images.codes), bool)
        first[np.unique(images.codes, return_index=True)[1]] = True
        tests = [
            images.codes == NONE,
            np.isin(images.codes, self._seen) | ~first,
            (images.sizes <= 0).any(axis=1),
        ]
        return np.where(np.any(tests, axis=0), np.argmax(tests, axis=0), -1)

    def _strays(self, result: StageResult, spool: BoxSpool, count: int) -> None:
        """Account for the annotations whose image is not in the file."""
        records, *_ = spool.of(np.array([count]))
        for record in records:
            image_id = self._ids.text(int(record["image"]))
            identity = {"image_id": image_id, "source_id": self._ids.text(int(record["source"]))}
            detail = f"annotation of image {image_id or 'without id'}, which the file does not list"
            result.quarantined.append(Quarantined(identity, "unknown_image", detail))
        result.notes["rows_in"] += len(records)


_IMAGE_REASONS: dict[str, str] = {
    "malformed_image": "the record has no usable id",
    "duplicate_image_id": "an earlier image, of this file or of an earlier split, has the same id",
    "bad_image_size": "width or height is missing or not positive",
}


@dataclass
class _Shard:
    assembler: Assembler
    images: ImageRecords
    categories: dict[int, str]
    split: str
    pictures: PicturePattern
    duplicates: np.ndarray

    def build(self, chosen: np.ndarray, faults: np.ndarray, spool: BoxSpool) -> StageResult:
        """One shard of these image rows, which are sorted by image id."""
        bad = chosen[faults[chosen] >= 0]
        good = chosen[faults[chosen] < 0]
        result = StageResult({}, kept=len(good))
        for row in bad.tolist():
            reason = list(_IMAGE_REASONS)[faults[row]]
            image_id = self.assembler._ids.text(int(self.images.codes[row]))
            name = self.images.file_names[row].as_py()
            detail = f"image {image_id or '?'} ({name}): {_IMAGE_REASONS[reason]}"
            result.quarantined.append(Quarantined({"image_id": image_id}, reason, detail))
        orphans = len(spool.of(bad)[0])
        if orphans:
            result.dropped["image_set_aside"] = orphans
        names = self.assembler._ids.texts(self.images.codes[good])
        boxes, count = self._boxes(result, good, names, spool)
        result.tables = {"images": self._images(good, names), "boxes": boxes, "gold": empty("gold")}
        result.notes["rows_in"] = len(chosen) + orphans + count
        return result

    def _images(self, good: np.ndarray, names: pa.Array) -> pa.Table:
        files = self.images.file_names.take(pa.array(good)).to_pylist()
        uris = [self.pictures.uri(n, f, self.split) for n, f in zip(names.to_pylist(), files, strict=True)]
        columns = {
            "image_id": names,
            "dataset": pa.repeat(self.assembler._dataset, len(good)),
            "split": pa.repeat(self.split, len(good)),
            "uri": pa.array(uris, pa.string()),
            "width": pa.array(self.images.sizes[good, 0]),
            "height": pa.array(self.images.sizes[good, 1]),
            "bytes": pa.nulls(len(good), pa.binary()),
        }
        return pa.table(columns, schema=SCHEMAS["images"])

    def _boxes(
        self, result: StageResult, good: np.ndarray, names: pa.Array, spool: BoxSpool
    ) -> tuple[pa.Table, int]:
        """The usable boxes, and how many records they were chosen from; the others go to `result`."""
        ids = self.assembler._ids
        records, owner, place, source_row = spool.of(good)
        box_id = np.where(records["box_id"] >= 0, records["box_id"], place).astype(np.int32)
        codes, inverse = np.unique(records["category"], return_inverse=True)
        known = np.array([c in self.categories for c in codes.tolist()], bool)
        labels = pa.array([self.categories.get(c, "") for c in codes.tolist()], pa.string())
        faults = box_faults(
            records["xywh"],
            self.images.sizes[good][owner],
            records["malformed"],
            np.isin(source_row, self.duplicates),
            known[inverse] if len(records) else np.zeros(0, bool),
        )
        usable = np.flatnonzero(faults < 0)
        for at in np.flatnonzero(faults >= 0).tolist():
            reason = list(REASONS)[faults[at]]
            image_id = names[owner[at]].as_py()
            identity = {
                "image_id": image_id,
                "box_id": int(box_id[at]),
                "source_id": ids.text(int(records["source"][at])),
            }
            box = ", ".join(f"{v:g}" for v in records["xywh"][at])
            detail = (
                f"box {box_id[at]} of image {image_id}, category {ids.text(int(codes[inverse[at]]))}, [{box}]"
            )
            result.quarantined.append(Quarantined(identity, reason, f"{detail}: {REASONS[reason]}"))
        result.kept += len(usable)
        columns = {
            "image_id": names.take(pa.array(owner[usable])),
            "box_id": pa.array(box_id[usable]),
            "category": labels.take(pa.array(inverse[usable])),
            **{n: pa.array(records["xywh"][usable, k]) for k, n in enumerate("xywh")},
            "iscrowd": pa.array(records["crowd"][usable]),
            "source_id": ids.texts(records["source"][usable]),
        }
        table = pa.table(columns, schema=SCHEMAS["boxes"])
        if (records["box_id"] >= 0).any():
            table = table.sort_by([("image_id", "ascending"), ("box_id", "ascending")])
        return table, len(records)


def _rows_of(owners: np.ndarray, codes: np.ndarray, faults: np.ndarray) -> np.ndarray:
    """For each annotation the row of its image, or the number of images where there is none.

    Of images that share an id, the annotations belong to the usable one.
    """
    by_code = np.lexsort((faults >= 0, codes))
    if not len(codes):
        return np.zeros(len(owners), np.int32)
    at = np.minimum(np.searchsorted(codes[by_code], owners), len(codes) - 1)
    rows = by_code[at].astype(np.int32)
    rows[(codes[rows] != owners) | (owners == NONE)] = len(codes)
    return rows


def _repeated(codes: np.ndarray) -> np.ndarray:
    """Places of the annotations whose id an earlier one has."""
    ordered = np.sort(codes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    places = np.flatnonzero(np.isin(codes, repeated[repeated != NONE]))
    return np.delete(places, np.unique(codes[places], return_index=True)[1])

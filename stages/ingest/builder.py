"""The one builder of shards: every adapter passes it its records, a file or a batch of images at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.account import Account
from relforge.stages.class_table import make_classes
from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.faults import find_image_faults
from relforge.stages.ingest.file_names import find_shared_names
from relforge.stages.ingest.ids import NONE, Ids, IdSet
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.shard import build_shard
from relforge.stages.ingest.values import UNREADABLE

_CHUNK = 1 << 16


class ShardBuilder:
    """Checks records, and turns them into the tables and the account of consecutive shards.

    Remembers the ids of all usable images it was given, so that an id that comes twice is used once.

    Args:
        ids: what the codes mean; one for a source.
        shard_images: image records per shard.
        relations: whether shards have a `relations` table too, which keeps all that the source has of a
            relation; `gold` has only the fact.
    """

    def __init__(self, ids: Ids, shard_images: int, relations: bool = False) -> None:
        self._ids = ids
        self._shard_images = shard_images
        self._with_relations = relations
        self._seen = IdSet()
        self._shares = ""  # the file, once it has a box
        self._pixels = False  # whether a box of it is larger than a share of its image can be

    def shards(self, records: Records, image_files: ImageFiles) -> Iterator[StageResult]:
        """The shards of these records, at least one: consecutive images, sorted by id inside a shard.

        Boxes and relations of images that are not there (orphans) are accounted for in the last shard.

        Args:
            records: what one file, or one batch of images, holds.
            image_files: where the image files are.

        Raises:
            SourceError: every box of the file is within one pixel. For `nested` records `end` raises it.
        """
        images = records.images
        count = len(images.codes)
        if (shares := _are_shares(records)) is not None:
            self._pixels |= not shares
            self._shares = records.file
        if not records.nested:
            self.end()
        # of a file that is read in batches, one batch does not show it
        known = images.file_names if images.uris is None else pc.coalesce(images.file_names, images.uris)
        images.shared_names = pa.nulls(count, pa.bool_()) if records.nested else find_shared_names(known)
        faults = self._find_image_faults(images, image_files)
        repeats = _group(records, faults)
        for start in range(0, max(count, 1), self._shard_images):
            rows = np.arange(start, min(start + self._shard_images, count))
            rows = rows[np.array(pc.sort_indices(self._ids.texts(images.codes[rows])), np.int64)]
            account = Account()
            for reason, left_out in records.left_out.items() if start == 0 else ():
                account.drop(reason, left_out)
            tables = build_shard(
                account, self._ids, records, rows, faults[rows], repeats, image_files, self._with_relations
            )
            tables["classes"] = make_classes(records.classes, records.origins)
            if start + self._shard_images >= count:
                self._quarantine_orphans(account, records)
            yield account.result(tables, {"rows_in": account.total})
        self._seen.add(images.codes[faults < 0])

    def end(self) -> None:
        """To be called behind the last of `nested` records.

        Raises:
            SourceError: every box is within one pixel.
        """
        if self._shares and not self._pixels:
            raise SourceError(
                f"{self._shares}: every box lies within one pixel, so its numbers look like shares of the "
                "image; multiply x and w by the image's width, and y and h by its height"
            )
        self._shares, self._pixels = "", False

    def _find_image_faults(self, images: ImageColumns, image_files: ImageFiles) -> np.ndarray:
        outside = np.zeros(len(images.codes), bool)
        for start in range(0, len(outside), _CHUNK):  # the names of all would take much memory
            rows = slice(start, start + _CHUNK)
            split = images.split if isinstance(images.split, str) else images.split[rows]
            ids = self._ids.texts(images.codes[rows])
            outside[rows] = image_files.find_outside(ids, images.file_names[rows], split)
        unreadable = np.zeros(len(images.codes), bool)
        for names in (images.file_names, images.uris):
            if names is not None:
                none = pc.fill_null(pc.equal(names, UNREADABLE), False)
                unreadable |= none.to_numpy(zero_copy_only=False)
        return find_image_faults(images.codes, images.sizes, unreadable, outside, self._seen)

    def _quarantine_orphans(self, account: Account, records: Records) -> None:
        nowhere = np.array([len(records.images.codes)])
        orphans = [("boxes", r["image"], r["source"]) for r in records.boxes.of(nowhere)[0]]
        orphans += [("relations", r["image"], NONE) for r in records.relations.of(nowhere)[0]]
        for kind, image, source in orphans:
            image_id = self._ids.text(int(image))
            record = {"image_id": image_id, "source_id": self._ids.text(int(source))}
            detail = f"annotation of image {image_id or 'without id'}, which the file does not list"
            account.quarantine(record, "unknown_image", detail)
            account.read(kind, 1)
            account.lose(kind, "unknown_image")


def _are_shares(records: Records) -> bool | None:
    """Whether every box is within the first pixel; None where there is no box."""
    found = None
    for piece in records.boxes.pieces():
        x, y, w, h = piece["xywh"][~piece["malformed"]].T
        with np.errstate(invalid="ignore"):
            size = (w > 0) & (h > 0) & np.isfinite(x + y + w + h)
            within = (x >= 0) & (y >= 0) & (x + w <= 1) & (y + h <= 1)
        if (size & ~within).any():
            return False
        found = True if size.any() else found
    return found


def _group(records: Records, faults: np.ndarray) -> np.ndarray:
    """Group boxes and relations by image; gives the places of the boxes whose id an earlier one has."""
    codes = records.images.codes
    for buffer in (records.boxes, records.relations):
        images = buffer.column("image")
        buffer.group(images if records.nested else _rows_of(images, codes, faults), len(codes))
    annotations = records.boxes.column("annotation")
    if records.nested:
        annotations = _unique_per_image(annotations, records.boxes.column("image"))
    return _repeats(annotations)


def _rows_of(owners: np.ndarray, codes: np.ndarray, faults: np.ndarray) -> np.ndarray:
    """For each record the row of its image, or the number of images where there is none.

    Of images that share an id, the records belong to the usable one.
    """
    usable_first = np.argsort(faults >= 0, kind="stable")
    known, first = np.unique(codes[usable_first], return_index=True)
    at = pc.index_in(pa.array(owners), pa.array(known[known != NONE])).fill_null(-1).to_numpy()
    rows = np.append(usable_first[first[known != NONE]], len(codes))  # the last one is where -1 points
    return rows[at].astype(np.int32)


def _unique_per_image(codes: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Codes that are equal only where both the id and the image are."""
    found, place = np.unique(codes, return_inverse=True)
    return np.where(codes == NONE, NONE, images * len(found) + place)


def _repeats(codes: np.ndarray) -> np.ndarray:
    """Places of the codes that an earlier one equals."""
    ordered = np.sort(codes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    places = np.flatnonzero(np.isin(codes, repeated[repeated != NONE]))
    return np.delete(places, np.unique(codes[places], return_index=True)[1])

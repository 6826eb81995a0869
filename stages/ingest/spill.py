"""Records that spill to disk when there are many, so that grouping them by image needs little memory.

Annotation files list boxes in any order. The reader appends fixed-size records, which move to an unnamed
temporary file (in TMPDIR) once they exceed 128 MiB; when all images are known, the records are grouped by a
stable sort of their image rows, and each shard gathers its own. Memory beside: 20 bytes per record while
grouping, 4 after.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np

BOX = np.dtype(
    [
        ("image", "<i8"),  # codes of relforge.stages.ingest.ids
        ("annotation", "<i8"),
        ("source", "<i8"),  # the name in the tables; the annotation id unless the file has its own
        ("category", "<i8"),
        ("xywh", "<f8", (4,)),  # pixels, top-left
        ("box_id", "<i4"),  # -1: the place among the image's records
        ("crowd", "?"),
        ("malformed", "?"),  # fields missing or of the wrong type
    ]
)
"""One annotation, 70 bytes."""

RELATION = np.dtype(
    [
        ("image", "<i8"),
        ("subject", "<i8"),  # annotation codes, or box ids
        ("object", "<i8"),
        ("start", "<i8"),  # where its other fields are in the payload file, as JSON
        ("length", "<i4"),
    ]
)
"""One relation, 36 bytes and its JSON."""

_PIECE = 1 << 16
_PLACE_BITS = 36
_IN_MEMORY = 128 << 20
"""Bytes of records that are kept in memory; beyond, all go to the file."""


class SpillBuffer:
    """Append records of one dtype with a field `image`, then read them grouped by image."""

    def __init__(self, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._file = tempfile.TemporaryFile(prefix="relforge-ingest-")  # noqa: SIM115
        self._count = 0
        self._kept: list[np.ndarray] | None = []
        self._order = np.empty(0, np.uint32)
        self._starts = np.zeros(1, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, records: np.ndarray) -> None:
        """Add records, in source order."""
        self._count += len(records)
        if self._kept is None:
            records.tofile(self._file)
            return
        self._kept.append(records)
        if self._count * self._dtype.itemsize > _IN_MEMORY:
            for kept in self._kept:
                kept.tofile(self._file)
            self._kept = None

    def pieces(self) -> Iterator[np.ndarray]:
        """All records, in source order, some at a time."""
        if self._kept is not None:
            yield from self._kept
            return
        for start in range(0, self._count, _PIECE):
            self._file.seek(start * self._dtype.itemsize)
            yield np.fromfile(self._file, self._dtype, min(_PIECE, self._count - start))

    def column(self, name: str) -> np.ndarray:
        """One field of every record, in source order; read in pieces, so only the field stays in memory."""
        field, end = np.empty(self._count, self._dtype[name]), 0
        for piece in self.pieces():
            field[end : end + len(piece)] = piece[name]
            end += len(piece)
        return field

    def group(self, rows: np.ndarray, images: int) -> None:
        """Group by image.

        Args:
            rows: for each record in source order, its image's row in [0, images), or `images` for none.
            images: number of images.
        """
        # row and place in the source, sorted as one number: several times faster than a stable sort of rows
        keys = rows.astype(np.uint64) << np.uint64(_PLACE_BITS)
        keys |= np.arange(self._count, dtype=np.uint64)
        keys.sort()
        keys &= np.uint64(2**_PLACE_BITS - 1)
        self._order = keys.astype(np.uint32 if self._count < 2**32 else np.int64)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=images + 1))])

    def of(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The records of these image rows, image by image, in source order within each.

        Returns:
            records; for each the position in `images`; its place among the image's records; its place
            in the source.
        """
        counts = self._starts[images + 1] - self._starts[images]
        owner = np.repeat(np.arange(len(images)), counts)
        place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = self._order[self._starts[images][owner] + place]
        return self._gather(chosen), owner, place, chosen

    def _gather(self, chosen: np.ndarray) -> np.ndarray:
        if not len(chosen):
            return np.empty(0, self._dtype)
        if self._kept is not None:
            if len(self._kept) > 1:
                self._kept = [np.concatenate(self._kept)]
            return self._kept[0].take(chosen)  # four times faster than by brackets
        # mapped anew each time, so that only this shard's pages stay resident
        self._file.flush()
        mapped = np.memmap(self._file, self._dtype, mode="r", shape=(self._count,))
        records = np.empty(len(chosen), self._dtype)
        in_file_order = np.argsort(chosen, kind="stable")
        records[in_file_order] = mapped[chosen[in_file_order]]
        return records


class RelationBuffer(SpillBuffer):
    """Relations with their JSON.

    Args:
        by_box_id: whether `subject` and `object` are box ids rather than annotation codes.
    """

    def __init__(self, by_box_id: bool = False) -> None:
        super().__init__(RELATION)
        self.by_box_id = by_box_id
        self._payload = tempfile.TemporaryFile(prefix="relforge-ingest-")  # noqa: SIM115

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._payload.close()

    def add(
        self, images: np.ndarray, subjects: np.ndarray, objects: np.ndarray, payloads: Sequence[bytes]
    ) -> None:
        """Add relations, in source order."""
        records = np.empty(len(payloads), RELATION)
        records["image"], records["subject"], records["object"] = images, subjects, objects
        records["length"] = [len(p) for p in payloads]
        ends = np.cumsum(records["length"], dtype=np.int64)
        self._payload.seek(0, 2)
        records["start"] = self._payload.tell() + ends - records["length"]
        self._payload.write(b"".join(payloads))
        self.append(records)

    def payloads(self, records: np.ndarray) -> Iterator[bytes]:
        """The JSON of some relations."""
        for start, length in zip(records["start"].tolist(), records["length"].tolist(), strict=True):
            self._payload.seek(start)
            yield self._payload.read(length)

"""Box records on disk, so that grouping them by image needs little memory.

Annotation files list boxes in any order. The reader appends fixed-size records to an unnamed temporary file
(in TMPDIR); once all images are known, the records are grouped by a stable sort of their image rows, and
each shard gathers its own. Memory: 12 bytes per box while grouping, 8 after.
"""

from __future__ import annotations

import tempfile

import numpy as np

RECORD = np.dtype(
    [
        ("image", "<i8"),  # codes of relforge.stages.ingest.ids
        ("annotation", "<i8"),
        (
            "source",
            "<i8",
        ),  # what the tables call the record; the annotation id unless the file says otherwise
        ("category", "<i8"),
        ("xywh", "<f8", (4,)),  # pixels, top-left
        ("box_id", "<i4"),  # -1: the place among the image's records
        ("crowd", "?"),
        ("malformed", "?"),  # fields missing or of the wrong type
    ]
)
"""One annotation, 70 bytes."""

_PIECE = 1 << 16


class BoxSpool:
    """Append records, then read them grouped by image."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="relforge-ingest-")  # noqa: SIM115
        self._count = 0
        self._order = np.empty(0, np.int64)
        self._starts = np.zeros(1, np.int64)

    def __enter__(self) -> BoxSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, records: np.ndarray) -> None:
        """Add records of dtype `RECORD`, in source order."""
        records.tofile(self._file)
        self._count += len(records)

    def column(self, name: str) -> np.ndarray:
        """One field of every record, in source order; read in pieces, so only the field stays in memory."""
        field = np.empty((self._count, *RECORD[name].shape), RECORD[name].base)
        self._file.seek(0)
        for start in range(0, self._count, _PIECE):
            piece = np.fromfile(self._file, RECORD, min(_PIECE, self._count - start))
            field[start : start + len(piece)] = piece[name]
        return field

    def group(self, rows: np.ndarray, images: int) -> None:
        """Group by image.

        Args:
            rows: for each record in source order, its image's row in [0, images), or `images` for none.
            images: number of images.
        """
        self._order = np.argsort(rows, kind="stable").astype(np.uint32 if self._count < 2**32 else np.int64)
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
        # reading the file front to back is several times faster than in grouped order
        sequential = np.argsort(chosen, kind="stable")
        records = np.empty(len(chosen), RECORD)
        if len(chosen):  # mapped anew each time, so that only this shard's pages stay resident
            mapped = np.memmap(self._file, RECORD, mode="r", shape=(self._count,))
            records[sequential] = mapped[chosen[sequential]]
        return records, owner, place, chosen

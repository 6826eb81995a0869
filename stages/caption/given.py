"""The caption stage for captions that exist already (backends `oracle` and `import`).

No `Captioner`: it reads no image, so that a run on given captions needs none. Captions are cleaned of markup
(`clean`), not checked for quality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from relforge.models.fetched import resolve_pinned
from relforge.stages.account import Account
from relforge.stages.caption.clean import clean
from relforge.stages.caption.files import CaptionFile
from relforge.stages.caption.index import CaptionIndex
from relforge.stages.caption.names import AmbiguousName, KeyIndex
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS

MISSING = "no_caption"
"""Drop reason: the caption file does not have the image."""
EMPTY = "empty_captions"
"""Drop reason: the file has the image, with nothing but white space, markup or null."""
AMBIGUOUS = "ambiguous_name"
"""Quarantine reason: the names leave open whose captions these are."""


class GivenCaptions:
    """Looks the captions of every image up in caption files; each file is read once per worker.

    A caption is found by image id, else by the file name of the image, else by what is left of that without
    its folders, case or extension, where only one image and one key can be meant (`KeyIndex`). Captions are
    cleaned (`clean`); one that is empty then is left out, keeping the numbers of the others.

    The notes count what was cleaned (`cleaned`), captions that are null or no text (`unusable_captions`), and
    what is wrong with the files as a whole (`caption_files`).

    Args:
        files: paths, URIs or pinned names (`models.fetched`) of caption files; an image's captions are joined
            in this order.
        source: written to the `captions` table.
        read: reads one file.
        limit: captions kept per image, the first ones; None for all.
    """

    name = "caption"
    version = 2
    inputs = ("images",)
    outputs = ("captions",)

    def __init__(
        self,
        files: str | Sequence[str],
        source: str,
        read: Callable[[str], CaptionFile],
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 caption per image, not {limit}")
        self._files = [files] if isinstance(files, str) else list(files)
        self._source = source
        self._read = read
        self._limit = limit
        self._index: CaptionIndex | None = None
        self._keys = KeyIndex(())
        self._faults: dict[str, dict[str, int]] = {}

    def files(self) -> Sequence[str]:
        found: list[str] = resolve_pinned(self._files)
        return found

    def setup(self) -> None:
        read = {path: self._read(path) for path in self.files()}
        self._index = CaptionIndex(entry for found in read.values() for entry in found.entries)
        self._keys = KeyIndex(self._index.keys())
        self._faults = {
            path: dict(sorted(found.faults.items())) for path, found in read.items() if found.faults
        }

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        account = Account()
        cleaned: Counter[str] = Counter()
        unusable: Counter[str] = Counter()
        rows: dict[str, list[object]] = {name: [] for name in SCHEMAS["captions"].names}
        images = tables["images"]
        columns = (images[c].to_pylist() for c in ("image_id", "uri", "file_name", "shared_name"))
        for image_id, uri, file_name, shared in zip(*columns, strict=True):
            try:
                found = self._captions(image_id, (file_name, uri), shared)
            except AmbiguousName as error:
                account.quarantine({"image_id": image_id}, AMBIGUOUS, str(error))
                continue
            texts = []
            account.read("captions", len(found or ()))
            for text, fault in found or ():
                readable, kinds = clean(text)
                texts.append(readable)
                if not readable and fault != "null_caption":  # a null means that there is no caption
                    account.lose("captions", fault or EMPTY)
                cleaned.update(kinds)
                unusable.update([fault] if fault else [])
            if not any(texts):
                account.drop(MISSING if found is None else EMPTY)
                continue
            account.keep()
            for number, text in enumerate(texts):
                if text:
                    row = (image_id, number, text, self._source, None, None)
                    for column, value in zip(rows.values(), row, strict=True):
                        column.append(value)
        notes = {"cleaned": cleaned, "unusable_captions": unusable}
        counted = {name: dict(sorted(counts.items())) for name, counts in notes.items() if counts}
        files = {"caption_files": self._faults} if self._faults else {}
        return account.result({"captions": pa.table(rows, schema=SCHEMAS["captions"])}, counted | files)

    def _captions(
        self, image_id: str, names: Sequence[str | None], shared: bool | None
    ) -> list[tuple[str, str]] | None:
        """The image's captions and their faults; None where the files do not have it."""
        if self._index is None:
            raise RuntimeError("setup() has to be called before process()")
        key = self._keys.find(image_id, names, shared)
        found = None if key is None else self._index.get(key)
        return None if found is None else found[: self._limit]

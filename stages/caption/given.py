"""The caption stage for captions that exist already (backends `oracle` and `import`).

No `Captioner`: it reads no image, so that a run on given captions needs none, and judges no caption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from relforge.stages.account import Account
from relforge.stages.caption.index import CaptionIndex
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS

MISSING = "no_caption"
"""Drop reason: the caption file does not have the image."""
EMPTY = "empty_captions"
"""Drop reason: the file has the image, with nothing but white space."""


class GivenCaptions:
    """Looks the captions of every image up in caption files; each file is read once per worker.

    A caption is found by image id, else by the file name of the image (whole, then without
    extension), as the published files use either. White space is trimmed and runs of it become one space;
    a caption that is empty then is left out, keeping the numbers of the others.

    Args:
        files: paths or URIs of caption files; an image's captions are joined in this order.
        source: written to the `captions` table.
        read: yields (key, caption) from one file.
        limit: captions kept per image, the first ones; None for all.
    """

    name = "caption"
    version = 1
    inputs = ("images",)
    outputs = ("captions",)

    def __init__(
        self,
        files: str | Sequence[str],
        source: str,
        read: Callable[[str], Iterable[tuple[str, str]]],
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 caption per image, not {limit}")
        self._files = [files] if isinstance(files, str) else list(files)
        self._source = source
        self._read = read
        self._limit = limit
        self._index: CaptionIndex | None = None

    def files(self) -> Sequence[str]:
        return self._files

    def setup(self) -> None:
        self._index = CaptionIndex(row for path in self._files for row in self._read(path))

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        account = Account()
        rows: dict[str, list[object]] = {name: [] for name in SCHEMAS["captions"].names}
        images = tables["images"]
        for image_id, uri in zip(images["image_id"].to_pylist(), images["uri"].to_pylist(), strict=True):
            found = self._captions(image_id, uri)
            if found is None or not any(found):
                account.drop(MISSING if found is None else EMPTY)
                continue
            account.keep()
            for number, text in enumerate(found):
                if text:
                    row = (image_id, number, text, self._source, None, None)
                    for column, value in zip(rows.values(), row, strict=True):
                        column.append(value)
        return account.result({"captions": pa.table(rows, schema=SCHEMAS["captions"])})

    def _captions(self, image_id: str, uri: str | None) -> list[str] | None:
        """The image's captions, cleaned; empty ones stay as empty texts."""
        if self._index is None:
            raise RuntimeError("setup() has to be called before process()")
        for key in _keys(image_id, uri):
            found = self._index.get(key)
            if found is not None:
                return [" ".join(text.split()) for text in found[: self._limit]]
        return None


def _keys(image_id: str, uri: str | None) -> Iterator[str]:
    yield image_id
    if uri is not None:
        path = PurePosixPath(uri)
        yield from (path.name, path.stem)

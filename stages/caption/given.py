"""Captions that exist already: what the `oracle` and `import` backends share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from relforge.stages.caption.index import CaptionIndex
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS

MISSING = "no_caption"
"""Drop reason: the caption file does not have the image."""
EMPTY = "empty_captions"
"""Drop reason: the file has the image, with nothing but white space."""


class GivenCaptions:
    """A caption stage over caption files; each file is loaded once per worker.

    A caption is looked up by image id, then by the file name of the picture (whole, then without
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
        rows: dict[str, list[Any]] = {name: [] for name in SCHEMAS["captions"].names}
        result = StageResult({}, kept=0)
        images = tables["images"]
        for image_id, uri in zip(images["image_id"].to_pylist(), images["uri"].to_pylist(), strict=True):
            found = self._captions(image_id, uri)
            if found is None or not any(found):
                reason = MISSING if found is None else EMPTY
                result.dropped[reason] = result.dropped.get(reason, 0) + 1
                continue
            result.kept += 1
            for number, text in enumerate(found):
                if text:
                    rows["image_id"].append(image_id)
                    rows["caption_id"].append(number)
                    rows["text"].append(text)
        count = len(rows["text"])
        rows |= {"source": [self._source] * count, "seed": [None] * count, "logprob": [None] * count}
        result.tables = {"captions": pa.table(rows, schema=SCHEMAS["captions"])}
        return result

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

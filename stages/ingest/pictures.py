"""Where the picture of an image is."""

from __future__ import annotations

import string


class PicturePattern:
    """Turns an image record into the URI of its picture.

    Args:
        root: a folder or URI, to which the record's file name is joined; or a pattern with any of the
            fields `{file_name}`, `{image_id}` and `{split}`, e.g. `s3://b/{split}/{image_id:0>12}.jpg`.
            None: the dataset has no pictures.

    Raises:
        ValueError: a field this pattern cannot have.
    """

    def __init__(self, root: str | None) -> None:
        self._pattern = root
        if root is None:
            return
        fields = {name for _, name, _, _ in string.Formatter().parse(root) if name is not None}
        unknown = fields - {"file_name", "image_id", "split"}
        if unknown:
            raise ValueError(
                f"images: {root!r} has fields {sorted(unknown)}; use file_name, image_id or split"
            )
        if not fields:
            self._pattern = root.rstrip("/") + "/{file_name}"

    def uri(self, image_id: str, file_name: str | None, split: str) -> str | None:
        """The picture's path or URI; None where there is no pattern or it needs a file name not known."""
        if self._pattern is None or (file_name is None and "{file_name" in self._pattern):
            return None
        return self._pattern.format(image_id=image_id, file_name=file_name, split=split)

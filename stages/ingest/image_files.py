"""Where the file of an image is, and whether it can be read."""

from __future__ import annotations

import string

import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import ImageError, decode, read


class ImageFiles:
    """Turns an image record into the URI of its file, and reads the file where it is needed.

    Args:
        root: a folder or URI, to which the record's file name is joined; or a pattern with any of the
            fields `{file_name}`, `{image_id}` and `{split}`, e.g. `s3://b/{split}/{image_id:0>12}.jpg`.
            None: the dataset has no image files.
        require: whether every image needs a readable file of the size the boxes are written for. A run
            whose captions exist already needs none, so the default is to read no image at all.
        embed: store the encoded images in the `images` table; implies `require`.

    Raises:
        ValueError: a field the pattern cannot have, or images required without a root.
    """

    def __init__(self, root: str | None, require: bool = False, embed: bool = False) -> None:
        self._pattern = root
        self.required = require or embed
        self._embed = embed
        if root is None:
            if self.required:
                raise ValueError(
                    "require_images and embed_images need `images`: the folder of the image files"
                )
            return
        fields = {name for _, name, _, _ in string.Formatter().parse(root) if name is not None}
        unknown = fields - {"file_name", "image_id", "split"}
        if unknown:
            raise ValueError(f"images: {root!r}: unknown {sorted(unknown)}; use file_name, image_id or split")
        if root != "{file_name}" and not fields & {"file_name", "image_id"}:
            self._pattern = root.rstrip("/") + "/{file_name}"

    def uris(self, image_ids: pa.Array, file_names: pa.Array, split: str | pa.Array) -> pa.Array:
        """The files' paths or URIs; null where there is no pattern or it needs a file name not known.

        Args:
            image_ids, file_names: N texts.
            split: one for all images, or N.
        """
        if self._pattern is None:
            return pa.nulls(len(image_ids), pa.string())
        if self._pattern.endswith("/{file_name}") and self._pattern.count("{") == 1:
            root = self._pattern.removesuffix("{file_name}")
            return pc.binary_join_element_wise(root, file_names, "")
        splits = [split] * len(image_ids) if isinstance(split, str) else split.to_pylist()
        rows = zip(image_ids.to_pylist(), file_names.to_pylist(), splits, strict=True)
        return pa.array([self.uri(*row) for row in rows], pa.string())

    def uri(self, image_id: str, file_name: str | None, split: str) -> str | None:
        """The same for one image."""
        if self._pattern is None or (file_name is None and "{file_name" in self._pattern):
            return None
        return self._pattern.format(image_id=image_id, file_name=file_name, split=split)

    def check(self, uri: str | None, annotated: tuple[int, int]) -> bytes | None:
        """Decode the image; gives the bytes of its file where they are embedded.

        Raises:
            ImageError: the file is missing, cannot be decoded, or has neither upright nor as stored the
                annotated (width, height) (`image_size_mismatch`).
            OSError: the storage fails; the run tries again.
        """
        data = read(uri)
        height, width, _ = decode(data, annotated).shape
        if (width, height) != annotated:
            raise ImageError(
                "image_size_mismatch",
                f"{uri} has {width} x {height} pixels, the annotations say {annotated[0]} x {annotated[1]}",
            )
        return data if self._embed else None

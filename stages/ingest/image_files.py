"""Where the file of an image is, whether it may be there, and whether it can be read."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import (
    MAX_PIXELS,
    ImageError,
    check_max_pixels,
    check_orientation,
    decode_oriented,
    read,
)

_FIELDS = ("image_id", "file_name", "split")
_BY_NAME = "{file_name}"
_LEAVES = r"(^|/)\.\.(/|$)|^/|://|::"
"""A name that is not simply below a folder: one with `..`, an absolute one, a URI, a chain of fsspec's."""


class ImageFiles:
    """Turns an image record into the URI of its file, and reads the file where it is needed.

    A dataset is not trusted to name files outside the folder: see `find_outside`.

    Args:
        root: a folder or URI, to which the record's file name is joined; or a pattern with any of the
            fields `{file_name}`, `{image_id}` and `{split}`, e.g. `s3://b/{split}/{image_id:0>12}.jpg`; or a
            list of such, of which each image takes the first where its file exists.
            None: the dataset has no image files. `{file_name}` alone: the names are paths or URIs themselves.
        require: whether every image needs a readable file of the size the boxes are written for. A run
            whose captions exist already needs none, so the default is to read no image at all.
        embed: store the encoded images in the `images` table; implies `require`.
        follow_links: use names that leave the folder too; an absolute one is then the file itself.
        orientation, max_pixels: of images that are required, see `images.decode_oriented`.

    Raises:
        ValueError: a field the pattern cannot have, images required without a root, an unknown orientation,
            or a limit that cannot be.
    """

    def __init__(
        self,
        root: str | Sequence[str] | None,
        require: bool = False,
        embed: bool = False,
        follow_links: bool = False,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        check_orientation(orientation)
        check_max_pixels(max_pixels)
        self._orientation, self._max_pixels = orientation, max_pixels
        roots = [] if root is None else [root] if isinstance(root, str) else list(root)
        self._patterns = [_pattern(one) for one in roots]
        self.required = require or embed
        self._embed = embed
        self._follow_links = follow_links
        self._linked: dict[str, bool] = {}  # folder -> whether it is below a link
        self._links: dict[str, frozenset[str]] = {}  # folder -> the links in it
        if not roots and self.required:
            raise ValueError("require_images and embed_images need `images`: the folder of the image files")

    def uris(self, image_ids: pa.Array, file_names: pa.Array, split: str | pa.Array) -> pa.Array:
        """The files' paths or URIs; null where there is no pattern or it needs a file name not known.

        Args:
            image_ids, file_names: N texts.
            split: one for all images, or N.
        """
        if not self._patterns:
            return pa.nulls(len(image_ids), pa.string())
        found = [self._uris(pattern, image_ids, file_names, split) for pattern in self._patterns]
        if len(found) == 1:
            return found[0]
        candidates = zip(*(one.to_pylist() for one in found), strict=True)
        return pa.array([next(filter(_exists, some), some[0]) for some in candidates], pa.string())

    def _uris(
        self, pattern: str, image_ids: pa.Array, file_names: pa.Array, split: str | pa.Array
    ) -> pa.Array:
        if pattern.endswith(f"/{_BY_NAME}") and pattern.count("{") == 1:
            folder = pattern.removesuffix(_BY_NAME)
            found = pc.binary_join_element_wise("" if folder == "./" else folder, file_names, "")
        else:
            splits = [split] * len(image_ids) if isinstance(split, str) else split.to_pylist()
            rows = zip(image_ids.to_pylist(), file_names.to_pylist(), splits, strict=True)
            found = pa.array([self._uri(pattern, *row) for row in rows], pa.string())
        if not self._follow_links or "{file_name" not in pattern:
            return found
        whole = pc.fill_null(pc.match_substring_regex(file_names, "^/|://"), False)
        return pc.if_else(whole, file_names, found)

    def uri(self, image_id: str, file_name: str | None, split: str) -> str | None:
        """The same for one image."""
        names = pa.array([image_id]), pa.array([file_name], pa.string())
        found: str | None = self.uris(*names, split)[0].as_py()
        return found

    @staticmethod
    def _uri(pattern: str, image_id: str, file_name: str | None, split: str) -> str | None:
        if file_name is None and "{file_name" in pattern:
            return None
        return pattern.format(image_id=image_id, file_name=file_name, split=split)

    def find_outside(self, image_ids: pa.Array, file_names: pa.Array, split: str | pa.Array) -> np.ndarray:
        """For each image whether its file is outside the folder: by `..`, by an absolute name, or by a link.

        A link inside the folder that leads to another place in it is not outside. Links are looked for in
        local folders alone; no image is read.

        Args:
            image_ids, file_names: N texts.
            split: one for all images, or N.
        """
        outside = np.zeros(len(image_ids), bool)
        patterns = [pattern for pattern in self._patterns if pattern != _BY_NAME]
        if self._follow_links or len(patterns) < len(self._patterns) or not patterns:
            return outside
        splits = pa.repeat(split, len(image_ids)) if isinstance(split, str) else split
        for field, values in zip(_FIELDS, (image_ids, file_names, splits), strict=True):
            if any(f"{{{field}" in pattern for pattern in patterns):
                leaves = pc.fill_null(pc.match_substring_regex(values, _LEAVES), False)
                outside |= leaves.to_numpy(zero_copy_only=False)
        roots = [_local_folder(pattern) for pattern in patterns]
        if None in roots:
            return outside
        folders = [folder for folder in roots if folder is not None]
        uris = self.uris(image_ids, file_names, split).to_pylist()
        for k in np.flatnonzero(~outside).tolist():
            outside[k] = uris[k] is not None and self._leaves_by_link(_local(uris[k]), folders)
        return outside

    def _leaves_by_link(self, path: str, folders: list[str]) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._links:  # one listing costs less than a look at each of its files
            self._links[folder] = _links_in(folder)
        if name not in self._links[folder] and not self._is_below_link(folder, folders):
            return False
        real = os.path.realpath(path)
        return not any(real.startswith(os.path.join(os.path.realpath(folder), "")) for folder in folders)

    def _is_below_link(self, folder: str, folders: list[str]) -> bool:
        if folder in folders or len(folder) <= min(map(len, folders)):
            return False
        if folder not in self._linked:
            above = os.path.dirname(folder)
            self._linked[folder] = os.path.islink(folder) or (
                above != folder and self._is_below_link(above, folders)
            )
        return self._linked[folder]

    def check(self, uri: str | None, annotated: tuple[int, int]) -> tuple[bytes | None, bool]:
        """Decode the image; gives the bytes of its file where they are embedded, and whether its orientation
        is unsettled (`images.orientation.Choice`).

        Raises:
            ImageError: the file is missing, cannot be decoded, or has neither upright nor as stored the
                annotated (width, height) (`image_size_mismatch`).
            OSError: the storage fails; the run tries again.
        """
        data = read(uri)
        decoded = decode_oriented(data, annotated, self._max_pixels, self._orientation)
        height, width, _ = decoded.pixels.shape
        if (width, height) != annotated:
            raise ImageError(
                "image_size_mismatch",
                f"{uri} has {width} x {height} pixels, the annotations say {annotated[0]} x {annotated[1]}",
            )
        return data if self._embed else None, decoded.unsettled


def _pattern(root: str) -> str:
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(root) if name is not None}
    except ValueError as error:
        raise ValueError(f"images: {root!r} is no pattern: {error}") from error
    if unknown := fields - set(_FIELDS):
        raise ValueError(f"images: {root!r}: unknown {sorted(unknown)}; use file_name, image_id or split")
    if root != _BY_NAME and not fields & {"file_name", "image_id"}:
        return root.rstrip("/") + f"/{_BY_NAME}"
    return root


def _local(path: str) -> str:
    """A local path or `file://` URI as a path."""
    return os.path.expanduser(path.removeprefix("file://"))


def _local_folder(pattern: str) -> str | None:
    """The folder in front of a pattern's first field; None where it is not on this machine."""
    if "://" in pattern.removeprefix("file://"):
        return None
    return os.path.dirname(_local(pattern.partition("{")[0]))


def _links_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except (OSError, ValueError):
        return frozenset()  # no file can be there


def _exists(uri: str | None) -> bool:
    if uri is None:
        return False
    if "://" not in uri:
        return os.path.exists(_local(uri))
    filesystem, path = fsspec.core.url_to_fs(uri)
    return bool(filesystem.exists(path))

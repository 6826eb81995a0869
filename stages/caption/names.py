"""Which key of a caption file belongs to an image: by id, by its file name, or by what is left of one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
_BARE_ID = re.compile(r"0|[1-9][0-9]*")


class AmbiguousName(ValueError):
    """Several keys, or several images, fit; the sentence has the names."""


class KeyIndex:
    """Keys of caption files, found by image id and file name.

    Args:
        keys: distinct keys, ids or file names.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = set(keys)
        self._by_path: dict[str, str] = {}
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for key in sorted(self._keys):
            self._by_path.setdefault(_path(key), key)
            self._by_stem[_stem(key)].append(key)

    def find(self, image_id: str, names: Iterable[str | None], shared: bool | None) -> str | None:
        """The image's key, or None.

        The id counts first, then the whole file name, then a key that is the same but for leading folders,
        the case, or a missing extension. That last step needs one key that fits and an image that shares
        its name with no other.

        Args:
            names: the image's file name and URI, where known.
            shared: whether another image has the name but for folder, case and extension; None: not known.

        Raises:
            AmbiguousName: the names determine neither the key nor the image.
        """
        if image_id in self._keys:
            return image_id
        given = [name for name in names if name]
        for name in given:
            found = self._by_path.get(_path(name))
            if found is not None:
                return found
        for name in given:
            found = self._find_similar(image_id, name, shared)
            if found is not None:
                return found
        return None

    def _find_similar(self, image_id: str, name: str, shared: bool | None) -> str | None:
        fitting = [key for key in self._by_stem.get(_stem(name), ()) if _fits(key, name)]
        if not fitting:
            return None
        if len(fitting) > 1:
            same_case = [key for key in fitting if _path(key).split("/")[-1] == _path(name).split("/")[-1]]
            fitting = same_case if len(same_case) == 1 else fitting
        if len(fitting) > 1:
            shown = ", ".join(repr(key) for key in fitting[:5])
            raise AmbiguousName(
                f"image {image_id} ({name}): captions of {shown} fit; name the image by its id or "
                "whole file name"
            )
        (key,) = fitting
        folders = _path(name).split("/")[:-1]
        told_apart = folders and _path(key).split("/")[:-1][-len(folders) :] == folders
        if shared and not told_apart:
            raise AmbiguousName(
                f"image {image_id} ({name}): {key!r} fits other images too, whose names differ in folder, "
                "case or extension; name each image by its id or whole file name"
            )
        if shared is None and folders and "://" not in name and not told_apart:
            raise AmbiguousName(
                f"image {image_id} ({name}): {key!r} has not its folder, and other images may have that "
                "name; name the image by its id or whole file name"
            )
        if _BARE_ID.fullmatch(key):
            raise AmbiguousName(
                f"image {image_id} ({name}): {key!r} may be the id of another image; write {name!r}"
            )
        return key


def _path(name: str) -> str:
    """One spelling of a path: `/` between folders, no `./` in front."""
    return re.sub(r"^(?:\./)+", "", name.replace("\\", "/"))


def _stem(name: str) -> str:
    return _EXTENSION.sub("", _path(name).split("/")[-1]).casefold()


def _fits(key: str, name: str) -> bool:
    """Whether the folders that both have agree, and the extensions where both have one."""
    key_parts, name_parts = (_path(one).casefold().split("/") for one in (key, name))
    common = min(len(key_parts), len(name_parts)) - 1
    if common and key_parts[-1 - common : -1] != name_parts[-1 - common : -1]:
        return False
    extensions = [m.group() if (m := _EXTENSION.search(one[-1])) else "" for one in (key_parts, name_parts)]
    return "" in extensions or extensions[0] == extensions[1]

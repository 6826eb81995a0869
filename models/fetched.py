"""Models and data sets that `relforge fetch` has put on this machine, each named with its hash.

    hub:OWNER/REPOSITORY@COMMIT            a model of the hub
    hub:datasets/OWNER/REPOSITORY@COMMIT   a data set of the hub
    https://HOST/FILE#sha256=HASH          a file

`/FOLDER/FILE` after a commit is a place in the repository, or a pattern of such. The name says the content,
so what is there is never looked up again, and a config that has it needs no network.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_HUB = re.compile(r"hub:(datasets/)?([\w.-]+/[\w.-]+)(?:@([0-9a-f]{40})((?:/[^/#]+)*))?")
_FILE = re.compile(r"(https?://[^#\s]+)#sha256=([0-9a-f]{64})")
_PATTERN = re.compile(r"[*?\[{]")
COMPLETE = ".complete"
"""Written last: a folder without it is a fetch that was stopped."""


@dataclass(frozen=True)
class Pinned:
    """A name.

    Args:
        repository: `OWNER/REPOSITORY` of the hub; empty for a file.
        is_dataset: of the hub's data sets.
        commit: 40 hexadecimal digits; empty where the name has none yet.
        within: place in the repository, such as `annotations/train.json`; empty for all of it.
        url, sha256: of a file.
    """

    repository: str = ""
    is_dataset: bool = False
    commit: str = ""
    within: str = ""
    url: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """As a config writes it."""
        if self.url:
            return f"{self.url}#sha256={self.sha256}"
        return f"hub:{'datasets/' if self.is_dataset else ''}{self.repository}@{self.commit}"

    @property
    def folder(self) -> Path:
        """Where its files are, or will be."""
        if self.url:
            return cache_folder() / "files" / self.sha256
        kind = "datasets" if self.is_dataset else "models"
        return cache_folder() / kind / f"{self.repository.replace('/', '--')}@{self.commit}"

    @property
    def path(self) -> Path:
        """The folder of a repository, or the file of a URL."""
        if not self.url:
            return self.folder
        last = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return self.folder / (re.sub(r"[^\w.-]", "_", last).lstrip(".") or "file")

    @property
    def page(self) -> str:
        """Where people read about it."""
        kind = "datasets/" if self.is_dataset else ""
        return self.url or f"https://huggingface.co/{kind}{self.repository}"

    @property
    def licence(self) -> str:
        """What was stated when it was fetched; empty where nothing was."""
        facts: dict[str, str] = json.loads((self.folder / COMPLETE).read_text(encoding="utf-8"))
        return facts.get("licence", "")

    @property
    def is_here(self) -> bool:
        """Whether it has been fetched whole."""
        return (self.folder / COMPLETE).is_file()


def cache_folder() -> Path:
    """`RELFORGE_CACHE`, else `fetched` below relforge's folder in `XDG_CACHE_HOME` or ~/.cache."""
    if given := os.environ.get("RELFORGE_CACHE"):
        return Path(given).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "relforge" / "fetched"


def is_pinned(name: str) -> bool:
    """Whether a text is meant as such a name."""
    return name.startswith("hub:") or "#sha256=" in name


def read_name(name: str) -> Pinned:
    """The parts of a name; that of a repository may lack its commit.

    Raises:
        ValueError: it is no such name.
    """
    if found := _HUB.fullmatch(name):
        within = (found[4] or "").lstrip("/")
        if ".." not in within.split("/"):
            return Pinned(found[2], bool(found[1]), found[3] or "", within)
    if found := _FILE.fullmatch(name):
        return Pinned(url=found[1], sha256=found[2])
    raise ValueError(
        f"{name!r} names nothing that can be fetched; write hub:OWNER/REPOSITORY@COMMIT (40 digits), "
        "hub:datasets/OWNER/REPOSITORY@COMMIT, or https://HOST/FILE#sha256=HASH (64 digits)"
    )


def find_fetched(name: str) -> Path:
    """The folder, or file, of a name that has been fetched.

    Raises:
        FileNotFoundError: it is not here, or the name has no commit (the message gives the command), or the
            repository has no such place.
        ValueError: it is no such name.
    """
    pinned = read_name(name)
    if not pinned.url and not pinned.commit:
        raise FileNotFoundError(
            f"{name} has no commit; `relforge fetch {name}` prints the pinned name to write"
        )
    if not pinned.is_here:
        raise FileNotFoundError(
            f"{name} is not on this machine; fetch it once: `relforge fetch '{pinned.name}'`"
        )
    if not pinned.within:
        return pinned.path
    path = pinned.path / pinned.within
    if not _PATTERN.search(pinned.within) and not path.exists():
        there = sorted(one.name for one in pinned.path.iterdir() if one.name != COMPLETE)
        raise FileNotFoundError(f"{name}: the repository has no {pinned.within}; it has {', '.join(there)}")
    return path


def resolve_pinned(value: Any) -> Any:
    """An option with the paths of what has been fetched in place of pinned names, in lists and mappings too.

    Raises:
        FileNotFoundError, ValueError: see `find_fetched`.
    """
    if isinstance(value, str):
        return str(find_fetched(value)) if is_pinned(value) else value
    if isinstance(value, Mapping):
        return {key: resolve_pinned(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_pinned(one) for one in value]
    return value

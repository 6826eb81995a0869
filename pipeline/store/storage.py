"""The operations that a run folder needs of a file system.

A write is in two halves. `stage` does the slow and fallible part (temporary file, flush, check);
`Pending.publish` makes the bytes appear under their name at once or not at all. Readers never get half
a file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from relforge.pipeline.store.files import Files

Check = Callable[[bytes], None]
"""Raises when the bytes, as read back, are not what was meant to be written."""


class Stat(NamedTuple):
    """What a listing holds about a file, to be compared for equality.

    Attributes:
        size: bytes.
        modified: of the last change: time and inode (local), ETag (object stores). A rename changes neither.
        changed: nanoseconds since the epoch of the last change of the file or its entry, which tools cannot
            set back as they can `modified`; 0 where there is none.
    """

    size: int
    modified: str
    changed: int = 0


class Pending(Protocol):
    """Bytes that are safe but not yet visible.

    Attributes:
        modified: the `Stat.modified` that a listing will show once they are visible; empty where the store
            decides it then.
    """

    modified: str

    def publish(self) -> None:
        """Make them visible under their name, replacing what was there."""
        ...

    def discard(self) -> None:
        """Forget them, leaving no trace."""
        ...


class Storage(Protocol):
    """A folder on some file system; every path is relative to it, with forward slashes."""

    root: str

    def read(self, path: str) -> bytes:
        """The whole file. FileNotFoundError when absent."""
        ...

    def read_end(self, path: str, count: int) -> bytes:
        """The last `count` bytes of a file, all of a shorter one. FileNotFoundError when absent."""
        ...

    def stage(self, path: str, data: bytes, check: Check | None = None) -> Pending:
        """Prepare a write; `check` reads the bytes as the storage holds them."""
        ...

    def write(self, path: str, data: bytes, *, durable: bool = True, private: bool = False) -> None:
        """`stage` and `publish` in one.

        Args:
            durable: survive a power cut. Marks and heartbeats need not, and are ten times faster so.
            private: readable by its owner alone, where the storage knows owners.
        """
        ...

    def files(self, folder: str) -> Files:
        """Sizes and times of the files in a folder; none when it is absent. Temporary files are left out."""
        ...

    def listing(self, folder: str) -> dict[str, Stat]:
        """File name -> size and time, the same for a small folder."""
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when it is absent."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens when it is absent."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold `name` alone among the processes of this storage, where it can do that (local folders).
        The death of the holder releases it."""
        ...

    def delete_orphans(self, folder: str) -> int:
        """Delete the temporary files of dead processes; returns how many."""
        ...

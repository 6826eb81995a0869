"""Find, or compile once, a native library. Needs neither torch nor NumPy."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relforge.kernels.native.build import BuildError, Library


class LibraryUnavailable(RuntimeError):
    """There is no native library here; the message says why."""


@contextmanager
def only_one_process(path: Path) -> Iterator[None]:
    """Hold a lock file, so that the workers of a job wait for one compilation instead of each doing it."""
    try:
        import fcntl
    except ImportError:  # not a Unix: they all compile, and the last rename wins
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def open_library(library: Library, path: Path) -> ctypes.CDLL:
    """Load a library file and check that it was built from the sources beside its package's files."""
    loaded = ctypes.CDLL(str(path))
    loaded.rf_source_hash.restype = ctypes.c_char_p
    if loaded.rf_source_hash().decode() != library.source_hash():
        raise LibraryUnavailable(
            f"{path} was built from other sources; run python -m relforge.kernels.native.build"
        )
    return loaded


def load(library: Library) -> ctypes.CDLL:
    """The native library: the installed one, the cached one, or one compiled now (seconds, once).

    Raises:
        LibraryUnavailable: none of them works; the reason is remembered for this process.
    """
    found = _find(library)
    if isinstance(found, str):
        raise LibraryUnavailable(found)
    return found


def why_unavailable(library: Library) -> str | None:
    """Why the library cannot run here, or None. Loads (and may compile) it."""
    found = _find(library)
    return found if isinstance(found, str) else None


@functools.cache
def _find(library: Library) -> ctypes.CDLL | str:
    """The library, or why there is none."""
    if os.name != "posix":
        return "native code is built for Linux and macOS only"
    installed = library.sources.parent.glob(f"_{library.name}*.so")  # left by `pip install`, given a compiler
    for path in installed:
        try:
            return open_library(library, path)
        except (OSError, LibraryUnavailable, AttributeError):
            continue  # a stale build of an editable checkout
    path = library.cached()
    try:
        if not path.exists():
            with only_one_process(path.with_suffix(".lock")):
                if not path.exists():
                    logging.getLogger("relforge.kernels").info("compiling %s to %s", library.name, path)
                    library.compile(path)
        return open_library(library, path)
    except (OSError, BuildError, LibraryUnavailable, AttributeError) as error:
        return str(error)

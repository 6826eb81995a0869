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
    """There is no native library here; the message gives the reason."""


def load(library: Library) -> ctypes.CDLL:
    """The native library: the installed one, the cached one, or one compiled now (seconds, once).

    Raises:
        LibraryUnavailable: none of them works; the reason is remembered for this process.
    """
    loaded = _load_or_reason(library)
    if isinstance(loaded, str):
        raise LibraryUnavailable(loaded)
    return loaded


def why_unavailable(library: Library) -> str | None:
    """Why the library cannot run here, or None. Loads (and may compile) it."""
    loaded = _load_or_reason(library)
    return loaded if isinstance(loaded, str) else None


def open_library(library: Library, path: Path) -> ctypes.CDLL:
    """Load a library file that was built from the present sources.

    Raises:
        LibraryUnavailable: it was built from others.
        OSError, AttributeError: it is no library of ours.
    """
    loaded = ctypes.CDLL(str(path))
    loaded.rf_source_hash.restype = ctypes.c_char_p
    if loaded.rf_source_hash().decode() != library.source_hash():
        raise LibraryUnavailable(
            f"{path} was built from other sources; run python -m relforge.kernels.native.build"
        )
    return loaded


@functools.cache
def _load_or_reason(library: Library) -> ctypes.CDLL | str:
    if os.name != "posix":
        return "native code is built for Linux and macOS only"
    installed = library.sources.parent.glob(f"_{library.name}*.so")  # left by `pip install`, given a compiler
    for path in installed:
        try:
            return open_library(library, path)
        except (OSError, LibraryUnavailable, AttributeError):
            continue  # an outdated build of an editable checkout
    path = library.cached()
    try:
        if not path.exists():
            with _file_lock(path.with_suffix(".lock")):
                if not path.exists():
                    logging.getLogger("relforge.kernels").info("compiling %s to %s", library.name, path)
                    library.compile(path)
        return open_library(library, path)
    except (OSError, BuildError, LibraryUnavailable, AttributeError) as error:
        return str(error)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """One process at a time: the workers of a job wait for one compilation instead of doing it each."""
    try:
        import fcntl
    except ImportError:  # not a Unix: they all compile, and the last rename stays
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

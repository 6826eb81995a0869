"""Find, or compile once, and load the native CPU kernel."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relforge.kernels import build

INTEGERS = ("batch", "tokens", "heads", "channels", "queries", "levels", "points")
ARRAYS = ("shapes", "value", "locations", "weights", "reference")
OUTPUTS = ("padding_mask", "output", "grad_output", "grad_value", "grad_locations", "grad_weights")
SETTINGS = ("storage", "threads", "layout")


class Call(ctypes.Structure):
    """`rf_call` of csrc/call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in INTEGERS),
        *((name, ctypes.c_void_p) for name in ARRAYS),
        ("reference_dim", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in OUTPUTS),
        *((name, ctypes.c_int64) for name in SETTINGS),
    ]


class LibraryUnavailable(RuntimeError):
    """There is no native kernel here; the message says why."""


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


def open_library(path: Path) -> ctypes.CDLL:
    """Load a library file and check that it was built from the sources beside this file."""
    library = ctypes.CDLL(str(path))
    library.rf_source_hash.restype = ctypes.c_char_p
    library.rf_isa.restype = ctypes.c_char_p
    library.rf_use_isa.argtypes = [ctypes.c_char_p]
    library.rf_release_buffers.restype = ctypes.c_int64
    for function in (library.rf_msda_forward, library.rf_msda_backward):
        function.argtypes = [ctypes.POINTER(Call)]
    found = library.rf_source_hash().decode()
    if found != build.source_hash():
        raise LibraryUnavailable(f"{path} was built from other sources; run python -m relforge.kernels.build")
    return library


@functools.cache
def load() -> ctypes.CDLL:
    """The native library: the installed one, the cached one, or one compiled now (about ten seconds, once).

    Raises:
        LibraryUnavailable: none of them works; the reason is remembered for this process.
    """
    for path in Path(__file__).parent.glob("_msda*.so"):  # left by `pip install` where a compiler was found
        try:
            return open_library(path)
        except (OSError, LibraryUnavailable, AttributeError):
            continue  # a stale build of an editable checkout
    path = build.cached_library()
    try:
        if not path.exists():
            with only_one_process(path.with_suffix(".lock")):
                if not path.exists():
                    logging.getLogger("relforge.kernels").info("compiling the CPU kernel to %s", path)
                    build.compile_library(path)
        return open_library(path)
    except (OSError, build.BuildError, AttributeError) as error:
        raise LibraryUnavailable(str(error)) from error


@functools.cache
def why_unavailable() -> str | None:
    """Why the native kernel cannot run here, or None. Loads (and may compile) it."""
    if os.name != "posix":
        return "the native kernel is built for Linux and macOS only"
    try:
        load()
    except LibraryUnavailable as error:
        return str(error)
    return None

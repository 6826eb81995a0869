"""The native library of the CPU kernel, with the C types of its functions."""

from __future__ import annotations

import ctypes
import functools

from relforge.kernels.native import loading
from relforge.kernels.native.build import MSDA

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


@functools.cache
def load() -> ctypes.CDLL:
    """The library, found or compiled.

    Raises:
        LibraryUnavailable: see `relforge.kernels.native.loading`.
    """
    library = loading.load(MSDA)
    library.rf_isa.restype = ctypes.c_char_p
    library.rf_use_isa.argtypes = [ctypes.c_char_p]
    library.rf_release_buffers.restype = ctypes.c_int64
    for function in (library.rf_msda_forward, library.rf_msda_backward):
        function.argtypes = [ctypes.POINTER(Call)]
    return library


def why_unavailable() -> str | None:
    """Why the native kernel cannot run here, or None. Loads (and may compile) it."""
    return loading.why_unavailable(MSDA)

"""The native library, with the C types of its functions, and the memory that it works in."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from typing import Literal

import torch
from torch import Tensor

from relforge.kernels.native import loading
from relforge.kernels.native.build import AMX, LIBRARIES

VARIABLE = "RELFORGE_GEMM"
"""Environment variable: `auto` (AMX where it can run) or `torch` (never AMX)."""
Precision = Literal["split", "bfloat16"]
"""Of the operands: each as two bfloat16s, or rounded to one. Sums are float32."""


class LinearCall(ctypes.Structure):
    """`rf_linear` of csrc/call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "in_features", "out_features", "parts")),
        *((name, ctypes.c_void_p) for name in ("x", "packed_x", "weight", "bias", "scale", "shift")),
        ("eps", ctypes.c_double),
        ("gelu", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("residual", "y", "packed_y", "scratch")),
        ("threads", ctypes.c_int64),
    ]


class AttentionCall(ctypes.Structure):
    """`rf_attention` of csrc/call.h."""

    _fields_ = [
        ("count", ctypes.c_int64),
        ("rows", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.c_int64) for name in ("queries", "keys", "heads", "width", "parts")),
        ("q", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("q_batch_stride", "q_row_stride")),
        *((name, ctypes.c_void_p) for name in ("packed", "out")),
        *((name, ctypes.c_int64) for name in ("out_batch_stride", "out_row_stride")),
        ("scratch", ctypes.c_void_p),
        ("threads", ctypes.c_int64),
    ]


class PackKeysCall(ctypes.Structure):
    """`rf_keys` of csrc/call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("keys", "heads", "width", "parts")),
        *((name, ctypes.c_void_p) for name in ("k", "v")),
        ("row_stride", ctypes.c_int64),
        ("packed", ctypes.c_void_p),
        ("threads", ctypes.c_int64),
    ]


@functools.cache
def load() -> ctypes.CDLL:
    """The library, found or compiled, on a processor that can run it.

    Raises:
        LibraryUnavailable: see `why_unavailable`.
    """
    if AMX not in LIBRARIES:
        raise loading.LibraryUnavailable("only x86-64 processors have AMX")
    library = loading.load(AMX)
    library.rf_why_unavailable.restype = ctypes.c_char_p
    if reason := library.rf_why_unavailable():
        raise loading.LibraryUnavailable(reason.decode())
    sizes = {"weight_bytes": 3, "packed_rows_bytes": 3, "linear_scratch": 4}
    sizes |= {"keys_bytes": 4, "attention_scratch": 3}
    for name, count in sizes.items():
        function = getattr(library, f"rf_{name}")
        function.argtypes, function.restype = [ctypes.c_int64] * count, ctypes.c_int64
    library.rf_pack_weight.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    library.rf_multiply_registers.argtypes = [ctypes.c_int64]
    library.rf_multiply_registers.restype = None
    calls = {"linear_run": LinearCall, "attention_run": AttentionCall, "pack_keys": PackKeysCall}
    for name, structure in calls.items():
        function = getattr(library, f"rf_{name}")
        function.argtypes, function.restype = [ctypes.POINTER(structure)], None
    return library


def why_unavailable() -> str | None:
    """Why AMX is not used here, or None where it is. Loads (and may compile) the library.

    Raises:
        ValueError: RELFORGE_GEMM is neither `auto` nor `torch`.
    """
    setting = os.environ.get(VARIABLE, "auto")
    if setting not in ("auto", "torch"):
        raise ValueError(f"{VARIABLE}={setting}: set it to auto or torch")
    if setting == "torch":
        return f"{VARIABLE}=torch"
    return _load_error()


@functools.cache
def _load_error() -> str | None:
    try:
        load()
    except loading.LibraryUnavailable as error:
        return str(error)
    return None


def allocate(size: int) -> Tensor:
    """`size` bytes of uninitialised memory, aligned to the 64 bytes that the library expects, as all of
    torch's."""
    return torch.empty(size, dtype=torch.uint8)


def scratch(size: int) -> Tensor:
    """This thread's work memory, kept between calls: page faults on fresh memory cost as much as the work."""
    kept: Tensor | None = getattr(_thread, "memory", None)
    if kept is None or kept.numel() < size:
        kept = _thread.memory = allocate(size)
    return kept


_thread = threading.local()


def check_operand(tensor: Tensor) -> None:
    """Refuse what the library does not read.

    Raises:
        ValueError: not float32, or not on the CPU.
    """
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        found = f"{tensor.dtype} on {tensor.device}"
        raise ValueError(f"AMX kernels take float32 on the CPU, not {found}")


def contiguous(tensor: Tensor) -> Tensor:
    """`tensor` as the library reads it: float32 on the CPU, row-major.

    Raises:
        ValueError: another dtype or device.
    """
    check_operand(tensor)
    return tensor if tensor.is_contiguous() else tensor.contiguous()


def split_parts(precision: Precision) -> int:
    """bfloat16s per operand.

    Raises:
        ValueError: there is no such precision.
    """
    parts = {"split": 2, "bfloat16": 1}.get(precision)
    if parts is None:
        raise ValueError(f"precision is {precision!r}; choose split or bfloat16")
    return parts

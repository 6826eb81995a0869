"""The native library, with the C types of its functions."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from typing import Literal

import torch
from torch import Tensor

from relforge.kernels.native import loading
from relforge.kernels.native.build import LIBRARIES, PRODUCTS

VARIABLE = "RELFORGE_PRODUCTS"
"""`auto` (this library where it can run) or `torch` (never)."""
Precision = Literal["split", "bfloat16"]
"""Of operands: each as two bfloat16s, or rounded to one. Sums are float32."""


class LinearCall(ctypes.Structure):
    """`rf_linear` of csrc/call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "inside", "outside", "parts")),
        *((name, ctypes.c_void_p) for name in ("x", "packed", "weight", "bias", "scale", "shift")),
        ("eps", ctypes.c_double),
        ("gelu", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("residual", "y", "pack", "scratch")),
        ("threads", ctypes.c_int64),
    ]


class AttentionCall(ctypes.Structure):
    """`rf_attention` of csrc/call.h."""

    _fields_ = [
        ("stacks", ctypes.c_int64),
        ("slots", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.c_int64) for name in ("queries", "keys", "heads", "width", "parts")),
        ("q", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("q_slot", "q_row")),
        *((name, ctypes.c_void_p) for name in ("packed", "out")),
        *((name, ctypes.c_int64) for name in ("out_slot", "out_row")),
        ("scratch", ctypes.c_void_p),
        ("threads", ctypes.c_int64),
    ]


class KeysCall(ctypes.Structure):
    """`rf_keys` of csrc/call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("keys", "heads", "width", "parts")),
        *((name, ctypes.c_void_p) for name in ("k", "v")),
        ("row", ctypes.c_int64),
        ("packed", ctypes.c_void_p),
        ("threads", ctypes.c_int64),
    ]


@functools.cache
def load() -> ctypes.CDLL:
    """The library, found or compiled, on a processor that can run it.

    Raises:
        LibraryUnavailable: see `why_unavailable`.
    """
    if PRODUCTS not in LIBRARIES:
        raise loading.LibraryUnavailable("only x86-64 processors have AMX")
    library = loading.load(PRODUCTS)
    library.rf_products_refusal.restype = ctypes.c_char_p
    if refusal := library.rf_products_refusal():
        raise loading.LibraryUnavailable(refusal.decode())
    sizes = {"weight_bytes": 3, "packed_rows": 3, "linear_scratch": 4}
    sizes |= {"keys_bytes": 4, "attention_scratch": 3}
    for name, count in sizes.items():
        function = getattr(library, f"rf_{name}")
        function.argtypes, function.restype = [ctypes.c_int64] * count, ctypes.c_int64
    library.rf_pack_weight.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    library.rf_multiply_registers.argtypes = [ctypes.c_int64]
    library.rf_multiply_registers.restype = None
    calls = {"linear_run": LinearCall, "attention_run": AttentionCall, "pack_keys": KeysCall}
    for name, structure in calls.items():
        function = getattr(library, f"rf_{name}")
        function.argtypes, function.restype = [ctypes.POINTER(structure)], None
    return library


def why_unavailable() -> str | None:
    """Why the library does not run here, or None. Loads (and may compile) it.

    Raises:
        ValueError: RELFORGE_PRODUCTS is neither `auto` nor `torch`.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in ("auto", "torch"):
        raise ValueError(f"{VARIABLE}={wanted} is no choice; set it to auto or torch")
    if wanted == "torch":
        return f"{VARIABLE}=torch"
    return _refusal()


@functools.cache
def _refusal() -> str | None:
    try:
        load()
    except loading.LibraryUnavailable as error:
        return str(error)
    return None


def memory(size: int) -> Tensor:
    """Fresh uint8 memory, aligned for the library as torch aligns everything (64 bytes)."""
    return torch.empty(size, dtype=torch.uint8)


def scratch(size: int) -> Tensor:
    """This thread's work memory, kept between calls: page faults on fresh memory cost as much as the work."""
    kept: Tensor | None = getattr(_own, "memory", None)
    if kept is None or kept.numel() < size:
        kept = _own.memory = memory(size)
    return kept


_own = threading.local()


def dense(tensor: Tensor) -> Tensor:
    """`tensor` as the C code reads it: float32 on the CPU, one row behind the other.

    Raises:
        ValueError: another dtype or device.
    """
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        found = f"{tensor.dtype} on {tensor.device}"
        raise ValueError(f"products on the tile unit take float32 on the CPU, not {found}")
    return tensor if tensor.is_contiguous() else tensor.contiguous()


def parts_of(precision: Precision) -> int:
    """bfloat16s per operand.

    Raises:
        ValueError: there is no such precision.
    """
    parts = {"split": 2, "bfloat16": 1}.get(precision)
    if parts is None:
        raise ValueError(f"precision is {precision!r}; choose split or bfloat16")
    return parts

"""The device and number type of a stage's model, from the words of a config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16")
USUAL_DEVICES = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?")
"""Device names that are checked without importing torch, which takes seconds."""
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
"""Flags of bfloat16 multiplication in Linux's /proc/cpuinfo, on x86-64 and Arm."""


def check_device_dtype(device: str, dtype: str = "auto") -> None:
    """Refuse a device or type that does not exist anywhere, before anything is loaded.

    Raises:
        ValueError: neither `auto` nor a device of torch's; neither `auto` nor one of `DTYPES`.
    """
    if device != "auto" and not USUAL_DEVICES.fullmatch(device):
        import torch

        try:
            torch.device(device)
        except RuntimeError as error:
            raise ValueError(f"device is {device!r}; choose auto, cpu, cuda or cuda:1") from error
    if dtype not in ("auto", *DTYPES):
        raise ValueError(f"dtype is {dtype!r}; choose auto, float32 or bfloat16")


def resolve_device_dtype(device: str, dtype: str = "auto") -> tuple[torch.device, torch.dtype]:
    """The device and number type to load a model with.

    Args:
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere) or one of `DTYPES`.
    """
    import torch

    chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if dtype == "auto":
        dtype = "float32" if chosen.type == "cpu" else "bfloat16"
    return chosen, getattr(torch, dtype)


def multiplies_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this processor has instructions for bfloat16 multiplication; True where the file cannot be
    read. Without them a model takes several times as long as in float32
    (benchmarks/results/caption.md)."""
    try:
        words = Path(cpuinfo).read_text().split()
    except OSError:
        return True
    return not BFLOAT16_FLAGS.isdisjoint(words)


def slow_dtype(device: str, dtype: str) -> str | None:
    """Why a model would be slow in this type here, and what to write instead; None if it is not."""
    if dtype != "bfloat16" or multiplies_bfloat16() or resolve_device_dtype(device)[0].type != "cpu":
        return None
    return "bfloat16 is slower than float32 here: this processor has no instructions for it; use dtype: auto"

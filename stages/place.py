"""Where a stage's model runs and in which numbers, from the words of a config."""

from __future__ import annotations

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def check_dtype(dtype: str) -> None:
    """Refuse a type that no stage knows, before anything is loaded.

    Raises:
        ValueError: neither `auto` nor one of `DTYPES`.
    """
    if dtype not in ("auto", *DTYPES):
        raise ValueError(f"dtype is {dtype!r}; choose auto, float32 or bfloat16")


def place(device: str, dtype: str = "auto") -> tuple[torch.device, torch.dtype]:
    """The device and number type to load a model with.

    Args:
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere) or one of `DTYPES`.
    """
    chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if dtype == "auto":
        dtype = "float32" if chosen.type == "cpu" else "bfloat16"
    return chosen, DTYPES[dtype]

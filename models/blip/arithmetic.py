"""What computes the model's GEMMs: decided by the processor, never by a timing, so that equal machines write
equal captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from relforge.kernels.amx.library import Precision, why_unavailable
from relforge.kernels.amx.self_test import self_test


@dataclass(frozen=True)
class Arithmetic:
    """Where tensors are and what computes their GEMMs.

    Args:
        device: of every tensor.
        dtype: of the tensors between the GEMMs.
        amx: GEMMs on the processor's AMX, with operands split in two or rounded to bfloat16; None: torch's.
    """

    device: torch.device
    dtype: torch.dtype
    amx: Precision | None = None


def choose_arithmetic(device: torch.device, dtype: torch.dtype) -> Arithmetic:
    """The arithmetic for a device and type. On a CPU with AMX that is AMX, once it has passed its self-test;
    bfloat16 then means the operands of GEMMs, and all else stays float32.

    Raises:
        SelfTestFailed: AMX computes something else than torch.
    """
    if device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16) or why_unavailable() is not None:
        return Arithmetic(device, dtype)
    amx: Precision = "split" if dtype == torch.float32 else "bfloat16"
    self_test(amx)
    return Arithmetic(device, torch.float32, amx)

"""How this machine does the model's arithmetic: decided by the processor, never by a timing, so that equal
machines write equal captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from relforge.kernels.amx.library import Precision, why_unavailable
from relforge.kernels.amx.self_test import self_test


@dataclass(frozen=True)
class Arithmetic:
    """Where numbers live and how products are computed.

    Args:
        device: of every tensor.
        dtype: of the tensors between the products.
        amx: products on the processor's tile unit, with operands split in two or rounded to bfloat16;
            None: torch's products.
    """

    device: torch.device
    dtype: torch.dtype
    amx: Precision | None = None


def arithmetic(device: torch.device, dtype: torch.dtype) -> Arithmetic:
    """The arithmetic for what was asked. On a CPU with a tile unit that is the unit, once it has passed its
    self-test; bfloat16 then means the operands of products, and all else stays float32.

    Raises:
        SelfTestFailed: the unit computes something else than torch.
    """
    if device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16) or why_unavailable() is not None:
        return Arithmetic(device, dtype)
    amx: Precision = "split" if dtype == torch.float32 else "bfloat16"
    self_test(amx)
    return Arithmetic(device, torch.float32, amx)

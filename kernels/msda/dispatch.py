"""Which kernel runs a call: by device, dtype and availability, or as the user chooses.

`RELFORGE_MSDA=reference|cpu|triton` (or, before it, the `kernel` argument) forces one; a forced kernel that
cannot run is an error, never a silent fallback. `auto` takes the native kernel of the device where there is
one, else the reference.
"""

from __future__ import annotations

import os

import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.library import why_unavailable

VARIABLE = "RELFORGE_MSDA"
NAMES = ("auto", "reference", "cpu", "triton")


class KernelUnavailable(RuntimeError):
    """The requested kernel cannot run here; the message gives the reason and the fix."""


def why_not(name: str, device_type: str, dtype: torch.dtype) -> str | None:
    """The reason why kernel `name` cannot run tensors of this device and dtype, or None when it can."""
    if name == "reference":
        return None
    if name == "triton" and device_type == "meta":
        return None  # tensors without values: the operators' shapes alone, as for a GPU
    if name == "triton":
        return triton_launch.why_unavailable(device_type, dtype)
    if device_type != "cpu":
        return "it runs on the CPU only"
    if dtype not in (torch.float32, torch.bfloat16):
        return "it stores float32 or bfloat16 only"
    return why_unavailable()


@torch.compiler.assume_constant_result
def choose(device_type: str, dtype: torch.dtype, kernel: str = "auto") -> str:
    """The name of the kernel that will run: `reference`, `cpu` or `triton`.

    Args:
        device_type: `cpu`, `cuda`, ... of the tensors.
        dtype: of `value`.
        kernel: one of `NAMES`; `auto` defers to the environment variable `RELFORGE_MSDA`.

    Raises:
        ValueError: an unknown name.
        KernelUnavailable: a forced kernel that cannot run these tensors.
    """
    requested = kernel
    if requested == "auto":
        requested = os.environ.get(VARIABLE, "") or "auto"
    if requested not in NAMES:
        source = VARIABLE if kernel == "auto" else "kernel"
        raise ValueError(f"{source}={requested!r}: choose one of {', '.join(NAMES)}")
    if requested != "auto":
        reason = why_not(requested, device_type, dtype)
        if reason:
            raise KernelUnavailable(
                f"deformable attention kernel {requested!r} cannot run {dtype} tensors on {device_type}: "
                f"{reason}"
            )
        return requested
    native = "cpu" if device_type == "cpu" else "triton"
    return "reference" if why_not(native, device_type, dtype) else native


def describe(device_type: str = "cpu", dtype: torch.dtype = torch.float32) -> dict[str, str]:
    """What `doctor` prints and a run records: the choice, and why each other kernel is not available."""
    kernels = {name: why_not(name, device_type, dtype) or "available" for name in NAMES[1:]}
    return {"chosen": choose(device_type, dtype), **kernels}

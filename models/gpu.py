"""What a GPU needs besides its kernels: exact arithmetic, copies that do not wait, memory that runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Attention kernels that are chosen by type and shape alone. cuDNN's, which newer GPUs prefer, chooses a plan
per shape and version."""
_ALIGNMENT = 16  # bytes; of every tensor in a packed copy
_OUT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""How the allocators of the CPU, CUDA, cuBLAS and cuDNN say it, the last two in a plain RuntimeError."""


@contextmanager
def exact_arithmetic(dtype: torch.dtype, device: torch.device | None = None) -> Iterator[None]:
    """Arithmetic as the type's name says, for the time of a `with`; changes nothing on a CPU.

    float32 convolutions do not round their operands to TF32 (10 bits), which cuDNN does by default, and
    partial sums of bfloat16 products stay float32.

    Args:
        dtype: of the model.
        device: where it runs; attention is pinned to `ATTENTION` where it is a GPU. None: as torch chooses.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction
    try:
        if dtype == torch.float32:
            cudnn.allow_tf32 = matmul.allow_tf32 = False
        matmul.allow_bf16_reduced_precision_reduction = False
        with ExitStack() as stack:
            if device is not None and device.type != "cpu":
                stack.enter_context(sdpa_kernel(ATTENTION))
            yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction = before


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Autocast to `dtype`; none for float32, nor on a device that has no autocast (`meta`)."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def upload(device: torch.device, *tensors: Tensor) -> list[Tensor]:
    """CPU tensors on the device, all in one copy.

    To a GPU they go through pinned memory, which the copy reads while the host goes on; torch keeps that
    memory until the copy is done.
    """
    if device.type == "cpu":
        return list(tensors)
    starts, end = [], 0
    for tensor in tensors:
        starts.append(end)
        end += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
    packed = torch.empty(end, dtype=torch.uint8, pin_memory=device.type == "cuda")
    for tensor, start in zip(tensors, starts, strict=True):
        packed[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape).copy_(tensor)
    there = packed.to(device, non_blocking=True)
    return [
        there[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for tensor, start in zip(tensors, starts, strict=True)
    ]


class ReadBack:
    """A device tensor on its way to the host, which meanwhile goes on.

    Args:
        tensor: on any device.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.event: torch.cuda.Event | None = None
        if tensor.device.type == "cuda":
            self.host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self.host.copy_(tensor, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record(torch.cuda.current_stream(tensor.device))
        else:
            self.host = tensor.clone()  # it may be written to before it is read

    def wait(self) -> Tensor:
        """The values, on the CPU."""
        if self.event is not None:
            self.event.synchronize()
        return self.host.cpu()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, whichever library says it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def free_cached_memory(device: torch.device) -> None:
    """Return what torch's allocator keeps for later to the GPU, for a retry or for other processes on it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def limit_memory(share: float) -> None:
    """Keep this process to its share of the GPU's memory, so that two on one GPU do not starve each other.

    Args:
        share: of the GPU, as `num_gpus` gives it; 1 or more takes all of it.
    """
    if 0 < share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)

"""Several workers on one GPU: each keeps to its share of the memory."""

from __future__ import annotations

import os

ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"


def share_gpu(share: float) -> None:
    """Prepare this process for its share of a GPU, before its first use.

    torch's allocator returns nothing that it once had: without a limit the first of two workers would take
    what the second needs.

    Args:
        share: `num_gpus` of the stage; 0 changes nothing.
    """
    if not share:
        return
    os.environ.setdefault(ALLOCATOR, "expandable_segments:True")  # batches of many sizes leave no gaps
    from relforge.models.gpu import limit_memory

    limit_memory(share)

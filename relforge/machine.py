"""What this machine has, on Linux and macOS alike."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

SUPPORTED = ("linux", "darwin")
REFUSAL = (
    "relforge runs on Linux and macOS; on Windows use it in WSL 2 (Windows Subsystem for Linux), "
    "where the commands for Linux apply"
)


def is_supported() -> bool:
    """Whether relforge runs on this operating system: it needs symbolic links, file locks and signals."""
    return sys.platform.startswith(SUPPORTED)


def count_usable_cpus() -> int:
    """CPUs that this process may use; where the system does not say (macOS), those it has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def find_memory() -> int | None:
    """Main memory in bytes; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def count_gpus(devices: str = "/dev") -> int:
    """NVIDIA GPUs that this process may use, without importing torch, which takes seconds.

    Args:
        devices: folder of the system's device files.
    """
    found = [path for path in Path(devices).glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return len(found)
    names = [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return min(len(found), len(names))


def choose_decoders(on_gpu: int) -> int:
    """Threads that decode images for one worker: 2 beside a model on the CPU; for a GPU, which is faster than
    two, `on_gpu`, or this GPU's share of the CPUs where that is less."""
    gpus = count_gpus()
    return max(2, min(on_gpu, count_usable_cpus() // gpus)) if gpus else 2

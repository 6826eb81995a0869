"""The first line of the results: which device, which versions, which commit."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
DRIVER_FIELDS = ("driver_version", "clocks.max.sm", "clocks.sm", "memory.total")


def output_of(*command: str) -> str | None:
    """What a command prints, or None where it is not there or fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cublas_version() -> str | None:
    """Of the wheel that PyTorch brings, whatever its name (nvidia-cublas-cu12, nvidia-cublas)."""
    names = {name for names in packages_distributions().values() for name in names}
    return next((version_of(name) for name in sorted(names) if name.startswith("nvidia-cublas")), None)


def processor() -> str:
    """The name that Linux gives the processor, else the machine's kind."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
                platform.machine())  # fmt: skip


def describe(device: str) -> dict[str, Any]:
    """Device, clocks, versions, commit and date; None for what does not say."""
    found: dict[str, Any] = {
        "name": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cublas": cublas_version(),
        "triton": version_of("triton"),
        "transformers": version_of("transformers"),
        "python": platform.python_version(),
        "commit": output_of("git", "rev-parse", "--short", "HEAD"),
        "changed_files": bool(output_of("git", "status", "--porcelain", "--untracked-files=no")),
    }
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        found["capability"] = f"{major}.{minor}"
        values = output_of(
            "nvidia-smi", f"--query-gpu={','.join(DRIVER_FIELDS)}", "--format=csv,noheader", "--id=0"
        )
        told = values.split(", ") if values else [None] * len(DRIVER_FIELDS)
        found |= dict(zip(("driver", "max_sm_clock", "sm_clock", "memory"), told, strict=True))
    return found

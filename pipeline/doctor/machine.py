"""What the machine has: package versions, processors, memory, disk, GPUs, and the Ray of a run."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

from relforge import __version__
from relforge.machine import REFUSAL, count_usable_cpus, find_memory, is_supported
from relforge.pipeline.doctor.check import Check, State

NEEDED = ("pyarrow", "numpy", "pydantic", "typer", "rich", "duckdb", "fsspec", "torch", "ray", "spacy")
"""Without these the whole job cannot run."""
PER_PURPOSE = {
    "transformers": ("model captions and the R-Tagger", "transformers"),
    "SceneGraphParser": ("the sng_parser backend", "SceneGraphParser==0.1.0"),
    "s3fs": ("run folders on s3://", "'relforge[s3]'"),
    "h5py": ("Visual Genome's 150 classes, format vg150", "'relforge[vg150]'"),
    "triton": ("the GPU kernels", "'relforge[gpu]'"),
}
"""Package -> what needs it, and what to install: the extra that brings it, where there is one."""

GIB = 1024**3


def check_versions() -> Iterator[Check]:
    """Python, relforge, and each package with its version."""
    python = f"{platform.python_version()} at {sys.executable}"
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Check("versions", "python", "ok" if supported else "broken", f"{python}; supported: 3.11 to 3.13")
    yield Check("versions", "relforge", "ok", __version__)
    system = f"{platform.system()} {platform.machine()}"
    supported = is_supported()
    yield Check("versions", "system", "ok" if supported else "broken", system if supported else REFUSAL)
    for name in NEEDED:
        yield _package(name, "broken", "every run", name)
    for name, (purpose, install) in PER_PURPOSE.items():
        yield _package(name, "absent", purpose, install)


def _package(name: str, otherwise: State, purpose: str, install: str) -> Check:
    try:
        return Check("versions", name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(
            "versions", name, otherwise, f"not installed; needed for {purpose}: pip install {install}"
        )


def check_devices() -> Iterator[Check]:
    """CPUs, memory, free disk here, and each CUDA device with its compute capability."""
    yield Check("devices", "cpu", "ok", f"{count_usable_cpus()} usable of {os.cpu_count()}")
    memory = find_memory()
    shown = "the system does not say" if memory is None else f"{memory / GIB:.1f} GiB"
    yield Check("devices", "memory", "ok", shown)
    yield Check("devices", "disk", "ok", f"{shutil.disk_usage('.').free / GIB:.1f} GiB free here")
    try:
        import torch
    except ImportError:
        return  # the version check has reported it
    yield _bfloat16()
    if not torch.cuda.is_available():
        yield Check("devices", "gpu", "absent", "no CUDA device; models run on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        capability = f"sm_{properties.major}{properties.minor}"
        detail = f"{properties.name}, {capability}, {properties.total_memory / GIB:.0f} GiB"
        built_for = torch.cuda.get_arch_list()
        known = any(arch.removeprefix("compute_").removeprefix("sm_") <= capability[3:] for arch in built_for)
        yield Check(
            "devices", f"gpu {index}", "ok" if known else "broken", f"{detail}; torch built for {built_for}"
        )


def _bfloat16() -> Check:
    from relforge.models.device import multiplies_bfloat16

    if multiplies_bfloat16():
        return Check("devices", "bfloat16 on the cpu", "ok", "the processor multiplies it")
    fix = "leave dtype at auto on this CPU, which takes float32"
    return Check(
        "devices", "bfloat16 on the cpu", "absent", f"the processor has no instructions for it; {fix}"
    )


def check_cluster() -> Iterator[Check]:
    """The cluster of RAY_ADDRESS, or a local one; and whether there is a token for `submit`."""
    address = os.environ.get("RAY_ADDRESS")
    yield Check("ray", "cluster", "ok", f"joins {address} (RAY_ADDRESS)" if address else "starts a local one")
    from relforge.pipeline.submit.client import token_source

    source = token_source()
    if source:
        yield Check("ray", "token", "ok", source)
    else:
        yield Check(
            "ray",
            "token",
            "absent",
            "only `relforge submit` to a cluster with token authentication needs one",
        )

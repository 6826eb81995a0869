"""Compile the native CPU kernel: `python -m relforge.kernels.build`.

Needs a C++17 compiler (`CXX`, else c++, g++ or clang++) and nothing else: no headers of Python or torch.
This file imports only the standard library, because setup.py runs it before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "csrc"
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-pthread")
# GCC 12 calls the undefined operand of its own AVX-512 intrinsics uninitialised.
QUIET = ("-w",)
X86_UNITS = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
}
UNITS = {"portable": (), "msda": (), "plan": (), "buffers": ()}


class BuildError(RuntimeError):
    """The native kernel could not be compiled; the message says why."""


def compiler() -> str | None:
    """The C++ compiler to use, or None."""
    named = os.environ.get("CXX")
    if named:
        return shutil.which(named.split()[0]) and named
    return next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)


def units() -> dict[str, tuple[str, ...]]:
    """Source files to compile (without .cpp) and the extra flags of each, for this processor family."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return {**UNITS, **(X86_UNITS if x86 else {})}


def source_hash() -> str:
    """Identifies the sources and flags: a library built from others is never loaded."""
    digest = hashlib.sha256(repr((FLAGS, units())).encode())
    for path in sorted(SOURCES.glob("*.[ch]*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def compile_library(target: Path, extra_flags: tuple[str, ...] = ()) -> Path:
    """Compile and link to `target`, which appears whole or not at all.

    Raises:
        BuildError: no compiler, or the compiler's first complaint.
    """
    command = compiler()
    if command is None:
        raise BuildError("no C++ compiler found: install g++ or clang++, or set CXX")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relforge-build-") as folder:
        identity = f'-DRF_SOURCE_HASH="{source_hash()}"'
        common = [*command.split(), *FLAGS, *QUIET, identity, *extra_flags]
        objects, running = [], []
        for name, flags in units().items():
            objects.append(f"{folder}/{name}.o")
            arguments = [*common, *flags, "-c", str(SOURCES / f"{name}.cpp"), "-o", objects[-1]]
            running.append(subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True))
        errors = [process.communicate()[1] for process in running]
        for process, error in zip(running, errors, strict=True):
            if process.returncode:
                raise BuildError(f"{command} failed ({process.returncode}): {error.strip()[:600]}")
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        os.close(handle)
        link = [*common, "-shared", *objects, "-o", partial]
        try:
            result = subprocess.run(link, stderr=subprocess.PIPE, text=True)
            if result.returncode:
                raise BuildError(f"{command} failed to link: {result.stderr.strip()[:600]}")
            os.chmod(partial, 0o755)
            os.replace(partial, target)
        finally:
            Path(partial).unlink(missing_ok=True)
    return target


def cached_library() -> Path:
    """Where an uninstalled checkout keeps its library: under `$XDG_CACHE_HOME`, by default ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "relforge" / f"msda-{platform.machine()}-{source_hash()}.so"


def main() -> int:
    """Compile into the cache, replacing what is there."""
    try:
        print(compile_library(cached_library()))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

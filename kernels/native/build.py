"""Compile the native libraries: `python -m relforge.kernels.native.build`.

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
from dataclasses import dataclass
from pathlib import Path

FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-pthread")
# GCC 12 calls the undefined operand of its own AVX-512 intrinsics uninitialised.
QUIET = ("-w",)
ROOT = Path(__file__).resolve().parents[2]
MSDA_X86_UNITS: dict[str, tuple[str, ...]] = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
}
RESIZE_X86_UNITS: dict[str, tuple[str, ...]] = {
    "vnni": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"),
    "avx2": ("-mavx2",),
}
AMX_FLAGS = (*MSDA_X86_UNITS["avx512"], "-mavx512bf16", "-mamx-tile", "-mamx-bf16")


class BuildError(RuntimeError):
    """A native library could not be compiled; the message gives the reason."""


def compiler() -> str | None:
    """The C++ compiler to use, or None."""
    named = os.environ.get("CXX")
    if named:
        return shutil.which(named.split()[0]) and named
    return next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)


@dataclass(frozen=True, eq=False)
class Library:
    """A plain shared library, loaded by ctypes.

    Args:
        name: the installed file is `_<name>...so`, in the package that has the sources' folder.
        package: folder below the root of relforge, e.g. `stages/ingest`.
        units: source files to compile (without .cpp) and the extra flags of each.
    """

    name: str
    package: str
    units: dict[str, tuple[str, ...]]

    @property
    def sources(self) -> Path:
        """The folder of the C++."""
        return ROOT / self.package / "csrc"

    def source_hash(self) -> str:
        """Identifies the sources and flags: a library built from others is never loaded."""
        digest = hashlib.sha256(repr((FLAGS, self.units)).encode())
        for path in sorted(self.sources.glob("*.[ch]*")):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def cached(self) -> Path:
        """Where an uninstalled checkout keeps it: under `$XDG_CACHE_HOME`, by default ~/.cache."""
        root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return Path(root) / "relforge" / f"{self.name}-{platform.machine()}-{self.source_hash()}.so"

    def compile(self, target: Path) -> Path:
        """Compile and link to `target`, published by a rename: it appears whole or not at all, and processes
        that have loaded an earlier build keep it, where overwriting it in place would kill them.

        Raises:
            BuildError: no compiler, or the compiler's message.
        """
        command = compiler()
        if command is None:
            raise BuildError("no C++ compiler found: install g++ or clang++, or set CXX")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="relforge-build-") as folder:
            identity = f'-DRF_SOURCE_HASH="{self.source_hash()}"'
            common = [*command.split(), *FLAGS, *QUIET, identity]
            objects, running = [], []
            for name, flags in self.units.items():
                objects.append(f"{folder}/{name}.o")
                arguments = [*common, *flags, "-c", str(self.sources / f"{name}.cpp"), "-o", objects[-1]]
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


_X86 = platform.machine().lower() in ("x86_64", "amd64")
MSDA = Library(
    "msda",
    "kernels/msda",
    {"portable": (), "msda": (), "plan": (), "buffers": ()} | (MSDA_X86_UNITS if _X86 else {}),
)
"""Deformable attention on the CPU."""
SCAN = Library("scan", "stages/ingest", {"scan": ()})
"""Reads COCO's JSON."""
RESIZE = Library(
    "resize",
    "images",
    {"resize": (), "portable": (), "weights": ("-ffp-contract=off",)} | (RESIZE_X86_UNITS if _X86 else {}),
)
"""Pillow's resize of images."""
AMX = Library("amx", "kernels/amx", {"amx": ()} | dict.fromkeys(("linear", "attention", "peak"), AMX_FLAGS))
"""GEMM and attention on the matrix unit of x86-64 processors."""
LIBRARIES = (MSDA, SCAN, RESIZE, AMX) if _X86 else (MSDA, SCAN, RESIZE)


def main() -> int:
    """Compile every library into the cache, replacing what is there."""
    try:
        for library in LIBRARIES:
            print(library.compile(library.cached()))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

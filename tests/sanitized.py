"""A native library under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relforge.kernels import build

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O0")


def report_of(library: build.Library, program: Path, folder: Path) -> str:
    """What a C++ program that calls the library prints; the test fails where a sanitizer complains."""
    command = build.compiler()
    if command is None:
        pytest.skip("no C++ compiler")
    flags = [flag for flag in build.FLAGS if flag != "-O3"]
    probe = folder / "probe.cpp"
    probe.write_text("int main() { return 0; }")
    if subprocess.run(
        [*command.split(), *SANITIZE, str(probe), "-o", str(folder / "probe")], capture_output=True
    ).returncode:
        pytest.skip(f"{command} has no sanitizer runtime")
    common = [*command.split(), *flags, *build.QUIET, *SANITIZE, '-DRF_SOURCE_HASH="test"']
    common += ["-I", str(library.sources)]

    def compiled(source: Path, extra: tuple[str, ...]) -> str:
        target = folder / f"{source.stem}.o"
        subprocess.run([*common, *extra, "-c", str(source), "-o", str(target)], check=True)
        return str(target)

    units = [(library.sources / f"{name}.cpp", extra) for name, extra in library.units.items()]
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, *zip(*units, (program, ()), strict=True)))
    executable = folder / "sanitized"
    subprocess.run([*common, *objects, "-o", str(executable)], check=True)
    result = subprocess.run([str(executable)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    return result.stdout

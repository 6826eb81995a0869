"""Native libraries are built whole, once, from the present sources, and never over one that is in use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relforge.kernels.native import build, loading

ROOT = Path(__file__).resolve().parents[3]
NO_COMPILER = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler")
SOURCE = """
extern "C" __attribute__((visibility("default"))) const char* rf_source_hash() {{ return RF_SOURCE_HASH; }}
extern "C" __attribute__((visibility("default"))) int rf_answer() {{ return {}; }}
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> build.Library:
    """A library of one function, whose sources and cache are in a folder of the test."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_source(tmp_path, 1)
    return build.Library("tiny", "package", {"tiny": ()})


def write_source(root: Path, answer: int) -> None:
    folder = root / "package" / "csrc"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.cpp").write_text(SOURCE.format(answer))


def recording_compiler(folder: Path) -> str:
    """A compiler that writes a line to `folder`/calls each time it links."""
    script = folder / "compiler"
    script.write_text(f'#!/bin/sh\ncase "$*" in *-shared*) echo >> {folder}/calls;; esac\nexec c++ "$@"\n')
    script.chmod(0o755)
    return str(script)


@NO_COMPILER
def test_a_rebuild_leaves_the_library_that_a_process_has_loaded_alone(
    library: build.Library, tmp_path: Path
) -> None:
    path = library.compile(tmp_path / "tiny.so")
    loaded, inode = loading.open_library(library, path), path.stat().st_ino

    write_source(tmp_path, 2)
    library.compile(path)

    # written in place, the inode would stay, and with it the pages that the process has mapped would change
    assert path.stat().st_ino != inode
    assert loaded.rf_answer() == 1
    copy = shutil.copy(path, tmp_path / "copy.so")  # one path is one library for the life of a process
    assert loading.open_library(library, Path(copy)).rf_answer() == 2


@NO_COMPILER
def test_a_library_of_other_sources_is_refused_and_compiled_anew(
    library: build.Library, tmp_path: Path
) -> None:
    path = library.compile(tmp_path / "package" / "_tiny.so")  # as an editable install leaves it
    assert loading.load(build.Library("tiny", "package", {"tiny": ()}))._name == str(path)

    write_source(tmp_path, 2)

    with pytest.raises(loading.LibraryUnavailable, match=r"other sources.*relforge\.kernels\.native\.build"):
        loading.open_library(library, path)
    assert loading.load(library).rf_answer() == 2
    assert loading.load(library)._name == str(library.cached())


@NO_COMPILER
def test_workers_that_start_together_compile_once(
    library: build.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", recording_compiler(tmp_path))
    code = (
        "from pathlib import Path; from relforge.kernels.native import build, loading;"
        f"build.ROOT = Path({str(tmp_path)!r});"
        "print(loading.load(build.Library('tiny', 'package', {'tiny': ()})).rf_answer())"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [worker.communicate()[0].strip() for worker in workers] == ["1"] * 4
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_without_a_compiler_the_build_says_what_to_install(
    library: build.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    with pytest.raises(build.BuildError, match=r"install g\+\+ or clang\+\+, or set CXX"):
        library.compile(tmp_path / "tiny.so")


def test_a_compiler_that_fails_leaves_no_library_and_shows_its_message(
    library: build.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'disk is full' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(build.BuildError, match="disk is full"):
        library.compile(tmp_path / "out" / "tiny.so")
    assert list((tmp_path / "out").iterdir()) == []
    assert "disk is full" in str(loading.why_unavailable(library))


def test_a_machine_without_compiler_or_cache_computes_with_torch_and_pillow(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from relforge.kernels.native import build
build.ROOT = Path("/nonexistent")  # an installed library is not found either
import numpy, torch
from relforge.images.resize import resize
from relforge.kernels.amx import library as amx
from relforge.kernels.msda import dispatch, self_test
from relforge.models.blip.arithmetic import choose_arithmetic

print(self_test.self_test().kernel, "because", dispatch.describe()["cpu"])
print(choose_arithmetic(torch.device("cpu"), torch.float32).amx, "because", amx.why_unavailable())
print(tuple(resize(numpy.zeros((8, 6, 3), numpy.uint8), 4, 3, "bicubic").shape))
"""
    environment = {"CXX": "/nonexistent/c++", "XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    attention, gemm, size = result.stdout.splitlines()
    assert attention.startswith("reference because no C++ compiler found")
    assert gemm.startswith(("None because no C++ compiler found", "None because only x86-64"))
    assert size == "(3, 4, 3)"

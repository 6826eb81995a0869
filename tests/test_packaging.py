"""relforge can be imported wherever it has to be: a wheel, an editable install, a checkout, Ray workers.

A Ray job on a cluster without relforge is in tests/pipeline/submit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from relforge.kernels.native import build

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "fixtures"
NOT_PACKAGED = {"relforge", "benchmarks", "docs", "tests", "build", "dist", "runs"}
PIPELINE_LICENCE = "stages/parse/pipeline_en/LICENSE.txt"
PACKAGES = sorted(path.name for path in (ROOT / "relforge").iterdir() if path.is_symlink())
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "runs", "build", "dist", "*.egg-info", "*.so", "tests", "benchmarks"
)


def run(*command: object, cwd: Path, **variables: str) -> str:
    """Standard output of a command; its standard error when it fails."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**inherited, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the source tree, links kept as links."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp("source") / "relforge", symlinks=True, ignore=LEFT_OUT
    )


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the source distribution. The native kernel is optional and has tests of its own."""
    built, unpacked = (tmp_path_factory.mktemp(name) for name in ("built", "unpacked"))
    quick = {"CXX": "/no/compiler"}
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "-o", built, checkout, cwd=built, **quick)
    shutil.unpack_archive(next(built.glob("*.tar.gz")), unpacked, filter="data")
    source = next(unpacked.iterdir())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", built, source, cwd=built, **quick)
    return next(built.glob("*.whl"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny job of tests/fixtures."""
    source = tmp_path / "source.json"
    source.write_text(json.dumps({"images": 4}))
    small = {"resources": {"num_cpus": 0.5}}
    values = {
        "dataset": {"name": "tiny", "split": "t", "format": "tiny:TinySource", "path": str(source)},
        "run": {"folder": str(tmp_path / "run"), "shard_images": 2},
        "stages": {
            "caption": {"backend": "tiny:TinyCaption", **small},
            "parse": {"backend": "tiny:TinyParse", **small},
        },
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def bare_python(folder: Path) -> Path:
    """A fresh environment that uses this one's packages, but none of its editable installs."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    packages = next(folder.glob("lib/python3*/site-packages"))
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return folder / "bin" / "python"


def names(wheel: Path) -> Iterator[str]:
    yield from zipfile.ZipFile(wheel).namelist()


def test_every_root_folder_of_the_package_has_its_relative_link_in_relforge() -> None:
    present = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    packages = {name for name in present if not name.endswith(".egg-info")} - NOT_PACKAGED

    links = {path.name: os.readlink(path) for path in (ROOT / "relforge").iterdir() if path.is_symlink()}

    assert links == {name: f"../{name}" for name in packages}


def test_the_wheel_holds_every_file_of_every_package(wheel: Path) -> None:
    sources = {
        f"relforge/{path.relative_to(ROOT)}"
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so") and "__pycache__" not in path.parts
    }
    kinds = {Path(name).suffix for name in sources}

    assert kinds >= {".py", ".cpp", ".h", ".html", ".yaml", ".json", ".txt", ".safetensors"}
    assert sources - set(names(wheel)) == set()
    # see docs/decisions/layout-no-kernels-init.md
    assert "relforge/kernels/__init__.py" not in set(names(wheel))


def test_the_wheel_holds_one_top_level_package_and_no_tests(wheel) -> None:
    assert {name.split("/")[0] for name in names(wheel) if ".dist-info" not in name} == {"relforge"}
    assert not [name for name in names(wheel) if "test_" in name or "/tests/" in name]


@pytest.mark.slow
@pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler")
def test_a_wheel_built_with_a_compiler_brings_the_native_libraries_along(
    checkout: Path, tmp_path: Path
) -> None:
    source = shutil.copytree(checkout, tmp_path / "source", symlinks=True)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path, source, cwd=tmp_path)
    site, wheel = tmp_path / "site", next(tmp_path.glob("*.whl"))
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel, cwd=tmp_path)

    code = (
        "from relforge.kernels.native import build, loading;"
        "[print(loading.load(library)._name) for library in build.LIBRARIES]"
    )
    away = {"PYTHONPATH": str(site), "CXX": "/no/compiler", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    files = run(sys.executable, "-c", code, cwd=tmp_path, **away).split()

    assert len(files) == len(build.LIBRARIES)
    assert all(Path(file).is_relative_to(site) for file in files)


def test_metadata_names_the_pythons_and_the_command(wheel) -> None:
    archive = zipfile.ZipFile(wheel)
    folder = next(name.split("/")[0] for name in names(wheel) if ".dist-info/" in name)
    metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())

    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert metadata["License-Expression"] == "Apache-2.0 AND CC-BY-4.0 AND CC-BY-SA-4.0"
    assert set(metadata.get_all("License-File") or []) == {"LICENSE", "NOTICE", PIPELINE_LICENCE}
    assert "relforge = relforge.cli:main" in archive.read(f"{folder}/entry_points.txt").decode()


def test_the_installed_wheel_runs_a_job(wheel, config, tmp_path) -> None:
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    path = {"PYTHONPATH": f"{site}{os.pathsep}{TINY}"}

    where = run(sys.executable, "-c", "import relforge; print(relforge.__file__)", cwd=tmp_path, **path)
    said = run(sys.executable, "-m", "relforge", "run", config, "--executor", "loop", cwd=tmp_path, **path)

    assert where.strip() == str(site / "relforge" / "__init__.py")
    assert "complete: 2 shards" in said


@pytest.mark.slow
def test_an_editable_install_imports_the_source_tree(checkout, tmp_path) -> None:
    python = bare_python(tmp_path / "env")
    install = ("-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation")
    run(sys.executable, *install, "-e", checkout, cwd=tmp_path, CXX="/no/compiler")

    modules = "relforge.stages.tables as t, relforge.kernels.msda.dispatch as d"
    code = f"import {modules}; print(t.__file__, d.__file__)"
    files = run(python, "-c", code, cwd=tmp_path).split()

    assert [Path(file).resolve().relative_to(checkout) for file in files] == [
        Path("stages/tables.py"),
        Path("kernels/msda/dispatch.py"),
    ]


@pytest.mark.slow
def test_ray_workers_import_a_checkout_that_is_not_installed(checkout, config, tmp_path) -> None:
    python = bare_python(tmp_path / "env")

    said = run(python, "-m", "relforge", "run", config, cwd=checkout, PYTHONPATH=str(TINY))

    assert "complete: 2 shards" in said


GPU_PACKAGES = ("kernels", "images", "models", "tagger")
IMPORT_WITHOUT = """
import importlib, importlib.abc, sys
from pathlib import Path

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"ray", "spacy", "sng_parser", "pydantic", "typer", "duckdb"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
for folder in sys.argv[1:]:
    for path in sorted(Path(folder).rglob("*.py")):
        parts = path.with_suffix("").parts
        importlib.import_module(".".join(("relforge", *(p for p in parts if p != "__init__"))))
print("imported")
"""


@pytest.mark.slow
def test_what_runs_on_a_gpu_machine_imports_without_ray_spacy_and_pydantic() -> None:
    assert run(sys.executable, "-c", IMPORT_WITHOUT, *GPU_PACKAGES, cwd=ROOT).strip() == "imported"

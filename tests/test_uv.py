"""What docs/install.md says of uv: it installs relforge and its command. No network is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "runs", "build", "dist", "*.egg-info", "*.so", "tests", "benchmarks"
)
UV = shutil.which("uv")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not on the path: pip install uv")


def run(*command: object, **variables: str) -> str:
    """Standard output of a command, from elsewhere than the checkout; its standard error when it fails."""
    environment = {**os.environ, **variables}
    done = subprocess.run(list(map(str, command)), cwd="/", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_uv
@pytest.mark.slow
def test_uv_installs_the_command(tmp_path: Path) -> None:
    tree = shutil.copytree(ROOT, tmp_path / "relforge", symlinks=True, ignore=LEFT_OUT)
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    packages = next(environment.glob("lib/python3*/site-packages"))
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    offline = ("--offline", "--no-deps", "--no-build-isolation", "--cache-dir", tmp_path / "cache")

    python = environment / "bin" / "python"
    run(UV, "pip", "install", *offline, "--python", python, tree, CXX="/no/compiler", PYTHONPATH="")

    said = run(environment / "bin" / "relforge", "models", PYTHONPATH="")
    assert "parseda" in said
    where = run(python, "-c", "import relforge; print(relforge.__file__)", PYTHONPATH="")
    assert Path(where.strip()).is_relative_to(packages.resolve())


@needs_uv
def test_every_option_that_the_page_gives_uv_is_one() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    found = re.findall(r"uv (tool|pip) install ([^`\n]*)", page)

    assert {verb for verb, _ in found} == {"tool", "pip"}
    for verb, words in found:
        known = run(UV, verb, "install", "--help")
        for option in re.findall(r"(?<!\S)--?[\w-]+", words):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", known), option

"""README and tutorial work as they are typed: line after line, in one shell, in a fresh clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relforge.cli.app import invoke

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "runs", "build", "dist", "*.egg-info", "tests", "benchmarks"
)
MARKS = (".plain", ".ready")
"""What `make` leaves in an environment that is made: this one is, of the packages that are here."""

COMMAND = """
import sys
from relforge.cli import main

loop = sys.argv[1] in ("run", "rerun") or sys.argv[1:3] == ["demo", "runs/tutorial"]
main(sys.argv[1:] + ["--executor", "loop"] * loop)
"""
"""`relforge`, whose runs after that of `make demo` do without Ray: each start of Ray takes seconds."""


def commands(page: str, section: str = "") -> list[str]:
    """The lines of the shell blocks of a page, or of one section of it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if section:
        found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert found, f"{page} has no section {section}"
        text = found.group(1)
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def make_environment(folder: Path, checkout: Path) -> None:
    """What `make` would install of the package index, of the packages that this Python sees."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "relforge.pth").write_text("\n".join([str(checkout), *borrowed]) + "\n")
    command = folder / "bin" / "relforge"
    command.write_text(f"#!{folder}/bin/python\n{COMMAND}")
    command.chmod(0o755)
    for mark in MARKS:
        (folder / mark).touch()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_readme_and_tutorial_are_typed_into_one_shell_of_a_fresh_clone(tmp_path: Path) -> None:
    clone = shutil.copytree(ROOT, tmp_path / "relforge", symlinks=True, ignore=LEFT_OUT)
    make_environment(clone / ".venv", clone)
    typed = [*commands("README.md", "Start"), *commands("docs/tutorial.md")]
    script = "\n".join(["set -e", *typed, "command -v relforge"])

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        env={**os.environ, "PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert typed[0].startswith("make demo")
    assert done.stdout.splitlines()[-1] == str(clone / ".venv" / "bin" / "relforge")
    assert (clone / "runs" / "demo" / "view.html").is_file()
    assert (clone / "runs" / "tutorial" / "run" / "export" / "rlipv2.json").is_file()


def test_make_demo_installs_no_tool_of_the_developers() -> None:
    def dry_run(target: str) -> str:
        command = ["make", "--dry-run", "--always-make", target, "TORCH=cpu"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "[dev]" not in dry_run("demo")
    assert "constraints-cpu.txt" in dry_run("demo")
    assert "[dev]" in dry_run("test")
    assert "[dev]" in dry_run("check")


def test_the_constraint_of_the_cpu_is_the_same_version_of_torch() -> None:
    def pinned(file: str) -> str:
        return re.findall(r"^torch==([\w.+]+)", (ROOT / file).read_text(), re.MULTILINE)[0]

    assert pinned("constraints-cpu.txt") == f"{pinned('constraints.txt')}+cpu"


def test_a_demo_of_another_size_in_the_same_folder_is_refused(tmp_path: Path, capsys) -> None:
    images = tmp_path / "world" / "detection" / "images"
    images.mkdir(parents=True)
    (tmp_path / "demo.yaml").touch()
    for number in range(3):
        (images / f"{number}.jpg").touch()

    assert invoke(["demo", str(tmp_path), "--images", "4"]) == 64

    said = capsys.readouterr().err
    assert said == f"relforge: {tmp_path} holds a demo of 3 images; give --images 3, or another folder\n"


def test_the_demo_again_does_nothing_and_says_so(tmp_path, capsys) -> None:
    arguments = ["demo", str(tmp_path), "--images", "4", "--executor", "loop"]
    assert invoke(arguments) == 0
    first = capsys.readouterr()
    assert "detecting" in first.err

    assert invoke(arguments) == 0

    again = capsys.readouterr()
    assert "everything is done already" in again.out
    assert "detecting" not in again.err
    detected = [line for line in first.out.splitlines() if line.startswith("RLIPv2-ParSeD")]
    assert detected[0] in again.out

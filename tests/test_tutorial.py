"""Every command of docs/tutorial.md works as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from relforge.cli.app import invoke

TUTORIAL = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.mark.slow
def test_the_tutorial_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)

    for line in commands():
        program, *arguments = shlex.split(line)
        if arguments[0] in ("run", "rerun"):
            arguments += ["--executor", "loop"]  # the demo has gone through Ray
        assert program == "relforge"
        assert invoke(arguments) == 0, f"{line}\n{capsys.readouterr().err}"

    assert (tmp_path / "runs" / "demo" / "relations.json").is_file()
    assert (tmp_path / "runs" / "demo" / "run" / "export" / "rlipv2.json").is_file()


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

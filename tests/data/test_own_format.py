"""A file format of one's own, as docs/adding.md writes it: one file, named to `relforge convert`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from relforge.cli.app import invoke
from relforge.data import hico
from relforge.data.formats import hico as hico_format
from tests.data.test_convert import facts, of_hico
from tests.fixtures.documented import code_blocks, write_module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the documented module and a list with sizes."""
    write_module("A file format", tmp_path)
    hico_format.write(of_hico(), tmp_path / "test_hico.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_documented_commands_write_the_format_and_read_it_back(folder: Path) -> None:
    (block,) = code_blocks("A file format", "bash")
    for line in block.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "relforge"
        assert invoke(arguments) == 0
    assert (folder / "pairs.tsv").read_text().count("\t") == 2 * 13
    name = of_hico().images[0].file_name
    assert facts(hico.read_hico(str(folder / "again.json")))[name] == facts(of_hico())[name]


def test_lines_that_lack_a_value_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pairs.csv").write_text("a.jpg,10,10,person,1,2,3,4,ride,horse,1,2,3,4\nb.jpg,x\n")
    arguments = ["--from", "pair_lines:read", "--to", "hico", "--out", "out.json", "--json"]
    assert invoke(["convert", "pairs.csv", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"malformed_line": 1}

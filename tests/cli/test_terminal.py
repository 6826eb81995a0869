"""Nothing of the data reaches a terminal as a command: every verb shows control characters as escapes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge.cli.output import print_table

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
HOSTILE = "h\x1b]0;owned\x07\x9b31m\r\u202ex"

OWN = """
import pyarrow as pa
from tiny import TinyCaption, TinyMatch, TinyParse, TinySource
from relforge.stages.contract import Quarantined
from relforge.stages.tables import SCHEMAS

HOSTILE = "h\\x1b]0;owned\\x07\\x9b31m\\r\\u202ex"


def changed(result, table, *columns):
    rows = [{**row, **dict.fromkeys(columns, HOSTILE)} for row in result.tables[table].to_pylist()]
    result.tables[table] = pa.Table.from_pylist(rows, schema=SCHEMAS[table])
    return result


class Source(TinySource):
    def shards(self, shard_images):
        for result in super().shards(shard_images):
            aside = [Quarantined(one.record, one.reason, HOSTILE) for one in result.quarantined]
            result.quarantined[:] = aside
            yield changed(changed(result, "images", "uri"), "boxes", "category")


class Caption(TinyCaption):
    def process(self, tables):
        if self.raising and "00001" in tables["images"]["image_id"].to_pylist():
            raise ValueError(HOSTILE)
        return changed(super().process(tables), "captions", "text")


class Parse(TinyParse):
    def process(self, tables):
        return changed(super().process(tables), "triplets", "subject", "predicate", "object")


class Match(TinyMatch):
    def process(self, tables):
        return changed(super().process(tables), "candidates", "predicate", "rule")
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "hostile.py").write_text(OWN)
    return folder


@pytest.fixture
def hostile(relforge: Any, own: Path, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config whose images, classes, captions, predicates and quarantine hold control characters."""
    monkeypatch.syspath_prepend(own)
    values = {
        "dataset": {
            "name": "tiny", "split": "t", "format": "hostile:Source", "path": str(source(images=10, bad=(3,)))
        },
        "run": {"folder": str(tmp_path / "run"), "shard_images": 4, "quarantine_limit": 0.5},
        "stages": {
            "caption": {"backend": "hostile:Caption"},
            "parse": {"backend": "hostile:Parse"},
            "match": {"backend": "hostile:Match"},
            "tag": {"backend": "rule"},
            "select": {"backend": "select"},
        },
    }  # fmt: skip
    path = tmp_path / "hostile.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def assert_inert(*texts: str) -> None:
    for text in texts:
        assert not CONTROL.findall(text), text


VERBS = {
    "run": ["run", "{config}", "--executor", "loop"],
    "rerun": ["rerun", "{run}", "--stage", "match", "--allow-code", "--executor", "loop"],
    "status": ["status", "{run}", "--verify"],
    "plan": ["plan", "{config}"],
    "validate": ["validate", "{config}", "--allow-code"],
    "inspect": ["inspect", "{run}"],
    "inspect a table": ["inspect", "{run}", "--table", "boxes"],
    "inspect an image": ["inspect", "{run}", "--image", "00001"],
    "inspect statistics": ["inspect", "{run}", "--table", "captions", "--stats"],
    "quarantine": ["quarantine", "{run}"],
    "logs": ["logs", "{run}"],
    "diff": ["diff", "{run}", "{other}"],
    "report": ["report", "{run}"],
    "view": ["view", "{run}"],
    "synonyms": ["synonyms", "{run}"],
    "export": ["export", "{run}", "--to", "rlipv2"],
    "eval": ["eval", "labels", "{run}"],
    "an unknown verb": [HOSTILE],
    "an unknown config": ["run", HOSTILE],
    "an unknown image": ["inspect", "{run}", "--image", HOSTILE],
    "an unknown column": ["inspect", "{run}", "--where", f"'{HOSTILE}' = nothing"],
}
SHOWS = ["inspect", "inspect a table", "inspect an image", "quarantine", "diff", "report"]
"""Verbs whose text has words of the data."""


@pytest.fixture
def runs(relforge: Any, hostile: Path, tmp_path: Path) -> dict[str, Path]:
    run, other = tmp_path / "run", tmp_path / "other"
    assert relforge("run", hostile, "--executor", "loop").code == 0
    fewer = ["stages.caption.dropped=[1, 2]", f"run.folder={other}"]
    assert relforge("run", hostile, "--executor", "loop", *fewer).code == 0
    return {"config": hostile, "run": run, "other": other}


def test_every_verb_shows_control_characters_as_escapes(relforge: Any, runs: dict[str, Path]) -> None:
    for verb, arguments in VERBS.items():
        given = [one.format(**runs) for one in arguments]
        said, as_json = relforge(*given), relforge(*given, "--json")

        assert_inert(said.out, said.err, as_json.out, as_json.err)
        if verb in SHOWS:
            assert said.code == 0, (verb, said.err)
            assert "x1b]0;owned" in said.out, verb


def test_json_keeps_the_values(relforge: Any, runs: dict[str, Path]) -> None:
    said = relforge("inspect", runs["run"], "--table", "boxes", "--json")

    assert {row["category"] for row in said.json} == {HOSTILE}


@pytest.mark.parametrize("verb", ["logs", "status", "run"])
def test_failures_are_shown_with_escapes(relforge: Any, hostile: Path, tmp_path: Path, verb: str) -> None:
    failing = [hostile, "--executor", "loop", "stages.caption.raising=[1]"]
    ran = relforge("run", *failing)
    assert ran.code == 3

    said = ran if verb == "run" else relforge(verb, tmp_path / "run", *["--failed"] * (verb == "logs"))

    assert_inert(said.out, said.err)
    if verb != "status":
        assert "x1b]0;owned" in said.out + said.err


def test_a_traceback_is_shown_with_escapes() -> None:
    code = (
        "import relforge.cli.app as app\n"
        "def build(): raise RuntimeError('h\\x1b]0;owned\\x07')\n"
        "app.build = build\n"
        "app.main(['status'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "RuntimeError: h\\x1b]0;owned\\x07" in done.stderr
    assert_inert(done.stderr)


def test_no_verb_prints_past_the_escape() -> None:
    folder = Path(__file__).resolve().parents[2] / "cli"
    bare = re.compile(r"(?<![\w.])print\(|sys\.stdout\.write|console\.print\((?!Text\(escape_control)")
    found = {file.name for file in folder.glob("*.py") if bare.search(file.read_text())}

    assert found <= {"output.py", "synonyms.py"}  # the escape itself, and a draft as YAML writes it


def test_words_of_the_data_are_no_markup_of_progress_bars() -> None:
    from rich.console import Console
    from rich.progress import Progress

    from relforge.cli.progress import BarPerStage
    from relforge.pipeline.run.progress import Notice

    console = Console(record=True, width=200)
    BarPerStage(Progress(console=console), ["parse"])(Notice(f"[red]{HOSTILE}"))

    said = console.export_text()
    assert "[red]h\\x1b]0;owned" in said
    assert_inert(said)


def test_a_table_on_a_terminal_shows_words_of_the_data_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, words = Terminal(), f"[red]{HOSTILE}"
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")  # so that every escape sequence is of the data
    monkeypatch.setenv("COLUMNS", "200")

    # columns too: those of a Parquet file have any name
    print_table((words, "b"), [(words, [words])], title=words)

    assert_inert(terminal.getvalue())
    assert terminal.getvalue().count("[red]h\\x1b]0;owned\\x07") == 4


def test_the_text_of_a_json_error_is_escaped(relforge: Any) -> None:
    said = relforge("run", HOSTILE, "--json")

    assert_inert(said.out, said.err)
    assert HOSTILE in json.loads(said.out)["error"]

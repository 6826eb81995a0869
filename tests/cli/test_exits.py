"""Exit codes by kind of error: 2 run it again, 3 something has to be repaired, 64 change the command."""

from __future__ import annotations

import pytest

from relforge.cli.app import invoke
from relforge.cli.exits import FAILED, INCOMPLETE, USAGE, BadInput
from relforge.pipeline.config.source import ConfigError
from relforge.pipeline.errors import BrokenShard, ChangedInputs, Outcome, RunError, StorageError
from relforge.reports.query import QueryError

ERRORS = [
    (KeyboardInterrupt(), INCOMPLETE, "interrupted; the same command resumes"),
    (StorageError("disk full"), FAILED, "disk full"),
    (BrokenShard("boxes", 3, "its hash differs"), FAILED, "shard 3 of table 'boxes' is broken"),
    (RunError("not a run folder"), USAGE, "not a run folder"),
    (ChangedInputs("the file changed"), USAGE, "the file changed"),
    (ConfigError("a.yaml", "run.seed", "no number"), USAGE, "a.yaml: run.seed: no number"),
    (BadInput("no such image"), USAGE, "no such image"),
    (QueryError("syntax error"), USAGE, "syntax error"),
]


@pytest.mark.parametrize(("error", "code", "message"), ERRORS, ids=[type(e[0]).__name__ for e in ERRORS])
def test_an_expected_error_has_its_code_and_one_sentence(capsys, monkeypatch, error, code, message) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("relforge.pipeline.run.status.status", fail)

    assert invoke(["status", "run"]) == code
    assert message in capsys.readouterr().err


def test_a_programming_error_keeps_its_traceback(monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("relforge.pipeline.run.status.status", fail)

    with pytest.raises(ZeroDivisionError):
        invoke(["status", "run"])


def test_the_codes_are_the_published_ones() -> None:
    assert (INCOMPLETE, FAILED, USAGE) == (2, 3, 64)
    assert [int(one) for one in Outcome] == [0, INCOMPLETE, FAILED]

"""`relforge submit`: the exit code of a job that ended."""

from __future__ import annotations

import pytest

from relforge.cli.submit import choose_exit_code


@pytest.mark.parametrize(
    ("status", "of_driver", "code"),
    [
        ("SUCCEEDED", 0, 0),
        ("STOPPED", None, 2),
        ("FAILED", 2, 2),
        ("FAILED", 3, 3),
        ("FAILED", 64, 64),
        ("FAILED", 1, 3),
        ("FAILED", None, 3),
    ],
)
def test_a_job_exits_with_the_code_of_its_run_or_as_failed(
    status: str, of_driver: int | None, code: int
) -> None:
    assert choose_exit_code(status, of_driver) == code

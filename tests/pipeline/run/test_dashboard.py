"""`run.dashboard`: Ray's own page beside a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.tiny import tiny_job

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a Ray of its own

DRIVER = """
import json, sys, urllib.request
from dataclasses import replace
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.progress import Notice

def tell(event):
    if isinstance(event, Notice) and "dashboard" in event.text:
        print(event.text, urllib.request.urlopen(event.text.split(": ")[1]).status)

print(run(replace(Job.from_dict(json.load(open(sys.argv[1]))), dashboard=True), progress=tell).message)
"""


def test_its_place_is_printed_and_answers(tmp_path: Path, source) -> None:
    (tmp_path / "job.json").write_text(json.dumps(tiny_job(tmp_path / "run", source(4)).to_dict()))

    command = [sys.executable, "-c", DRIVER, str(tmp_path / "job.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500)

    assert "Ray's dashboard: http://127.0.0.1:" in ended.stdout, ended.stdout + ended.stderr
    assert " 200\n" in ended.stdout
    assert "complete: 1 shards" in ended.stdout

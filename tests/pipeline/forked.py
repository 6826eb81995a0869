"""Drivers that die: the plain loop in a forked process, with deadly system calls underneath."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from shims import KillAt, KillOnce

from relforge.pipeline.execute import run
from relforge.pipeline.job import Job
from relforge.pipeline.local_storage import LocalStorage
from relforge.pipeline.rerun import rerun


def drive(job: Job) -> None:
    run(job, executor="loop")


def drive_to_death(job: Job, n: int, log: Path) -> None:
    run(job, executor="loop", storage=LocalStorage(job.folder, KillAt(n, log)))


def drive_to_death_at(job: Job, kind: str, ending: str, marks: Path) -> None:
    run(job, executor="loop", storage=LocalStorage(job.folder, KillOnce(kind, (ending,), marks)))


def redo_to_death(job: Job, n: int, log: Path) -> None:
    rerun(job.folder, "caption", executor="loop", storage=LocalStorage(job.folder, KillAt(n, log)))


def drive_and_report(job: Job, report: Path) -> None:
    result = run(job, executor="loop")
    report.write_text(json.dumps(result.message))
    sys.exit(result.outcome)

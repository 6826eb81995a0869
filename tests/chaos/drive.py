"""A driver of a disturbed run: `python -m tests.chaos.drive CASE EXECUTOR`; CASE holds job and kills."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from relforge.pipeline.run import ray_health
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
from tests.chaos.killing import Kill, Killer, killing_storage


def drive(folder: Path, executor: str, environment: Mapping[str, str] | None = None) -> None:
    """Run the job of a case, and exit as the command line does.

    Args:
        environment: of the process that asks; this one may be forked from another, older one.
    """
    os.environ.update(environment or {})
    (folder / "driver.pid").write_text(str(os.getpid()))
    job = Job.from_dict(json.loads((folder / "job.json").read_text()))
    kills = [Kill(**kill) for kill in json.loads((folder / "kills.json").read_text())]
    storage = killing_storage(job.folder, Killer(folder, kills))
    ray_health.LOST_SECONDS = 4.0  # a head that is killed here does not come back
    result = run(job, executor=cast(Literal["ray", "loop"], executor), storage=storage)
    print(result.message, flush=True)
    (folder / "message").write_text(result.message)
    sys.exit(int(result.outcome))


if __name__ == "__main__":
    drive(Path(sys.argv[1]), sys.argv[2])

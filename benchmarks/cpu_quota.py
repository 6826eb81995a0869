"""A share of a core for some processes and those they start: a node of a cluster on a small machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup/cpu")  # of version 1
_PERIOD = 50_000
"""Microseconds after which the quota is counted anew."""


@contextmanager
def cpu_quota(name: str, cores: float, processes: Iterable[int]) -> Iterator[None]:
    """Let these processes, all that descend from them, and all that those will start, have so many cores
    together.

    Raises:
        OSError: control groups of CPU time are not there, or not for us to make.
    """
    group = _GROUPS / f"relforge-{name}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(int(cores * _PERIOD)))
        for process in processes:
            _move(group, process)
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (_GROUPS / "cgroup.procs").write_text(left)
        group.rmdir()


def _move(group: Path, process: int) -> None:
    """Parents first: what they start from then on is in the group too."""
    with suppress(OSError):  # it has ended
        (group / "cgroup.procs").write_text(str(process))
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with suppress(OSError):
            for child in (thread / "children").read_text().split():
                _move(group, int(child))

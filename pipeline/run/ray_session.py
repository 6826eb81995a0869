"""Ray where there is none yet, and the one that is there otherwise."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from relforge.pipeline.errors import RunError

_OBJECT_STORE_BYTES = 128 << 20
"""Only shard descriptors travel through the object store."""
_STARTS = 3
"""Ray gives its own processes 15 to 30 s to come up, which a busy machine can miss."""


@contextmanager
def _kept_signals() -> Iterator[None]:
    """Keep what `ray.init` would change: it prints its log level on stderr before that can be switched off,
    and puts a SIGTERM handler of its own in place of ours."""
    on_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
        if on_main:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """What keeps Ray from starting as a sentence; it raises bare `Exception` when a machine is too busy."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(
            f"Ray did not start ({lines[0]}); give the same command again, or use --executor loop"
        ) from error


@dataclass(frozen=True)
class RaySession:
    """The Ray in use.

    Args:
        ours: it was started here and is stopped at the end.
        dashboard: where its dashboard is; empty where it has none or was there before.
    """

    ours: bool
    dashboard: str = ""


@contextmanager
def ray_session(num_cpus: int | None = None, dashboard: bool = False) -> Iterator[RaySession]:
    """Ray for the length of the context.

    An initialised Ray is used as it is. With RAY_ADDRESS set (as in a Ray job) the cluster is joined.
    Otherwise a local one is started, without usage reports.

    Args:
        num_cpus: CPUs of a local Ray; None: all of the machine.
        dashboard: start the dashboard of a local Ray.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # at the next level it reports every actor pool of Ray Data as an error
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # a stream that outlives its Ray by a moment would start another one
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    import ray

    _keep_stdout()
    if ray.is_initialized():
        yield RaySession(False)
        return
    ours = not os.environ.get("RAY_ADDRESS")
    for tries_left in range(_STARTS - 1, -1, -1):
        try:
            with _kept_signals(), _one_sentence():
                if ours:
                    found = _start(num_cpus, dashboard)
                else:
                    found = ray.init(log_to_driver=False, logging_level=logging.ERROR)
            break
        except RunError as error:
            ray.shutdown()  # what did come up
            if not tries_left or "timed out" not in str(error):
                raise
    try:
        url = found.dashboard_url
        yield RaySession(ours, f"http://{url}" if url else "")
    finally:
        ray.shutdown()


def _keep_stdout() -> None:
    """Have Ray print what its nodes report on standard error: standard output may have to be JSON."""
    from ray._private import worker

    known = getattr(worker, "print_to_stdstream", None)
    if known is None or hasattr(known, "func"):
        return
    worker.print_to_stdstream = partial(_print_on_stderr, known)


def _print_on_stderr(known: Callable[..., None], data: Mapping[str, Any], **options: Any) -> None:
    known({**data, "is_err": True}, **options)


def _start(num_cpus: int | None, dashboard: bool) -> Any:
    import ray

    return ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=dashboard,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )

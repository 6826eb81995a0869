"""Ray where there is none yet, and the one that is there otherwise."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECT_STORE_BYTES = 128 << 20
"""Only shard descriptors travel through the object store."""


@contextmanager
def ray_session(num_cpus: int | None = None) -> Iterator[bool]:
    """Ray for the length of the context; yields whether it is our own, started here and stopped at the end.

    An initialised Ray is used as it is. With RAY_ADDRESS set (as in a Ray job) the cluster is joined.
    Otherwise a local one is started, without dashboard and without usage reports.

    Args:
        num_cpus: CPUs of a local Ray; None: all of the machine.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield False
        return
    ours = not os.environ.get("RAY_ADDRESS")
    if ours:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    else:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ours
    finally:
        ray.shutdown()

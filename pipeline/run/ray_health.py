"""Whether the Ray in use is still there.

Ray's own client ends its process, without a word and with a status of its own, a minute after the head of a
cluster went away, and as soon as the head gives up the client's own node. So the driver looks for itself, and
leaves in time with a sentence.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from relforge.pipeline.errors import RunError

LOST_SECONDS = 20.0
"""The head may be away for so long: one that keeps its state elsewhere is started again meanwhile."""
_LOOK_SECONDS = 2.0
_CONNECT_SECONDS = 5.0
_NODE_DIED = (
    "Ray on this machine died (out of memory, or killed); what was committed is safe, "
    "give the same command again"
)


class RayLost(RunError):
    """The head of the cluster, or Ray on this machine, is gone: no request to it will be answered."""


class RayHealth:
    """Watches the head and this machine's node of the Ray that this process is connected to."""

    def __init__(self) -> None:
        import ray

        context = ray.get_runtime_context()
        self._address, self._node = str(context.gcs_address), str(context.get_node_id())
        nodes: list[dict[str, Any]] = ray.nodes()
        own = next((node for node in nodes if node["NodeID"] == self._node), {})
        self._raylet = f"{own.get('NodeManagerAddress', '')}:{own.get('NodeManagerPort', 0)}"
        self._looked = self._seen = time.monotonic()

    def check(self) -> bool:
        """Whether the head may be asked now: a request to one that is away does not come back. Looks every
        two seconds, and returns False in between.

        Raises:
            RayLost: the head did not take a connection for `LOST_SECONDS`, or this machine's node is dead.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        head = _listens(self._address)
        if _refuses(self._raylet):  # dead; the head says so some ten seconds later, or went with it
            raise RayLost(_NODE_DIED if head else self._head_gone)
        if head:
            self._seen = now
            if not _lives(self._node):
                raise RayLost(_NODE_DIED)
            return True
        if now - self._seen > LOST_SECONDS:
            raise RayLost(self._head_gone)
        return False

    @property
    def _head_gone(self) -> str:
        return (
            f"the head of the Ray cluster ({self._address}) is gone; what was committed is safe, give "
            "the same command again when there is a cluster"
        )


def _listens(address: str) -> bool:
    try:
        _connect(address)
    except OSError:
        return False
    return True


def _refuses(address: str) -> bool:
    """Whether nobody is behind an address any more, which a process that is merely slow never looks like."""
    try:
        _connect(address)
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def _lives(node_id: str) -> bool:
    import ray

    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())

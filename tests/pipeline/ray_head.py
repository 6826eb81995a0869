"""A Ray head on loopback whose Python has relforge's dependencies but not relforge."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

START_SECONDS = 120.0


@dataclass(frozen=True)
class Cluster:
    """Where the head listens, which Python it runs on, and the token it asks for."""

    address: str
    python: Path
    token: Path


def bare_python(folder: Path) -> Path:
    """An environment that sees this one's packages, but none of its editable installs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a head on free ports with token authentication; stop exactly that one at the end."""
    python = bare_python(folder / "bare")
    token = folder / "token"
    token.write_text("0123456789abcdef0123456789abcdef")
    temporary = mkdtemp(prefix="rf-ray-", dir="/tmp")  # short: it holds sockets
    ports = _free_ports(6)
    names = (
        "--port", "--dashboard-port", "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port",
        "--runtime-env-agent-port", "--metrics-export-port",
    )  # fmt: skip
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [
        python, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "2",
        "--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1", "--disable-usage-stats",
        "--object-store-memory", str(80 << 20), "--temp-dir", temporary,
        *(part for pair in zip(names, map(str, ports), strict=True) for part in pair),
    ]  # fmt: skip
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{ports[1]}"
    try:
        _wait(address, head, folder / "head.log")
        yield Cluster(address, python, token)
    finally:
        head.send_signal(signal.SIGTERM)  # `--block` takes its own processes down with it
        try:
            head.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait(30)
        shutil.rmtree(temporary, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _wait(address: str, head: subprocess.Popen[bytes], log: Path) -> None:
    """Until the job server answers (with "who are you?")."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and head.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/jobs/", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"the Ray head did not come up:\n{log.read_text()}")

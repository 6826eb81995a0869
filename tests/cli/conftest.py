"""`relforge(...)` runs the command in this process; `config` is the tiny job as a YAML file;
`rendered(page)` opens a page in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge.cli.app import invoke
from tests.fixtures.run_fixtures import bucket, ram, ray_here, source, start

__all__ = ["bucket", "ram", "ray_here", "source", "start"]


@dataclass(frozen=True)
class Said:
    """Exit code and both streams of one call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Relforge = Callable[..., Said]


@pytest.fixture
def relforge(capsys: pytest.CaptureFixture[str]) -> Relforge:
    """`relforge("status", run)` -> what it printed."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = invoke([str(one) for one in arguments])
        streams = capsys.readouterr()
        return Said(code, streams.out, streams.err)

    return call


def write_config(folder: Path, source: Path) -> Path:
    """The tiny job as YAML: 4 images to a shard, run folder `folder/run`."""
    values = {
        "dataset": {"name": "tiny", "split": "train", "format": "tiny:TinySource", "path": str(source)},
        "run": {"folder": str(folder / "run"), "shard_images": 4, "quarantine_limit": 0.5},
        "stages": {
            "caption": {"backend": "tiny:TinyCaption"},
            "parse": {"backend": "tiny:TinyParse"},
            "match": {"backend": "tiny:TinyMatch"},
            "tag": {"backend": "rule"},
            "select": {"backend": "select"},
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def config(tmp_path: Path, source: Callable[..., Path]) -> Path:
    """10 images of two boxes, three of them with a broken second box."""
    return write_config(tmp_path, source(images=10, bad=(3, 8, 9)))


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the tiny job, complete; not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    source = folder / "source.json"
    source.write_text(json.dumps({"images": 10, "bad": [3, 8, 9]}))
    os.utime(source, (1_700_000_000, 1_700_000_000))
    assert invoke(["run", str(write_config(folder, source)), "--executor", "loop"]) == 0
    return folder / "run"


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, where `config` expects it."""
    return shutil.copytree(finished_once, tmp_path / "run")


Rendered = Callable[..., str]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1300,800",
    "--virtual-time-budget=2000",
    "--dump-dom",
)


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    """A page's DOM after its scripts ran; `script` is run behind them, e.g. to press keys."""
    browser = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium")

    def render(page: Path, script: str = "", fragment: str = "") -> str:
        copy = tmp_path / "opened.html"
        copy.write_text(page.read_text(encoding="utf-8") + f"<script>{script}</script>", encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [browser, *_FLAGS, profile, copy.as_uri() + fragment], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return render

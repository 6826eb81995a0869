"""Are the packages relforge is built on installed, in versions it accepts?"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from relforge import __version__
from relforge.pipeline.doctor.check import Check, State

NEEDED = ("pyarrow", "numpy", "pydantic", "typer", "rich", "duckdb", "fsspec", "torch", "ray", "spacy")
"""Without these the whole job cannot run."""
PER_PURPOSE = {
    "transformers": "model captions and the R-Tagger",
    "SceneGraphParser": "the sng_parser backend",
    "s3fs": "run folders on s3://",
    "triton": "the GPU kernels",
}


def check_versions() -> Iterator[Check]:
    """Python, relforge, and each package with its version."""
    python = f"{platform.python_version()} at {sys.executable}"
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Check("versions", "python", "ok" if supported else "broken", f"{python}; supported: 3.11 to 3.13")
    yield Check("versions", "relforge", "ok", __version__)
    for name in NEEDED:
        yield _package(name, "broken", "every run")
    for name, purpose in PER_PURPOSE.items():
        yield _package(name, "absent", purpose)


def _package(name: str, otherwise: State, purpose: str) -> Check:
    try:
        return Check("versions", name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check("versions", name, otherwise, f"not installed; needed for {purpose}: pip install {name}")

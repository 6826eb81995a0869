"""The drawn training set of `tests/fixtures/training.py`, and the command line."""

from __future__ import annotations

from tests.cli.conftest import relforge
from tests.fixtures.training import run_folder, settings

__all__ = ["relforge", "run_folder", "settings"]

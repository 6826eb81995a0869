"""The drawn training set of `tests/fixtures/training.py`."""

from __future__ import annotations

from tests.fixtures.training import run_folder, settings, word_vectors

__all__ = ["run_folder", "settings", "word_vectors"]

"""The command line, for tests of whole runs."""

from __future__ import annotations

from tests.cli.conftest import relforge

__all__ = ["relforge"]

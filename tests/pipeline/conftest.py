"""The tiny job (`tests/fixtures/tiny.py`) for every test of this folder."""

from __future__ import annotations

from tests.fixtures.run_fixtures import bucket, ram, ray_here, source, start

__all__ = ["bucket", "ram", "ray_here", "source", "start"]

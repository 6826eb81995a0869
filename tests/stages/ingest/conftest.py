"""`opened(format, images)`: a dataset as files of that format, and a source for them."""

from __future__ import annotations

from tests.fixtures.adapters import opened, own_adapter

__all__ = ["opened", "own_adapter"]

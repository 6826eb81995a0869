"""Small BLIP captioners, their folders and images (`tests/fixtures/blip_fixtures.py`)."""

from __future__ import annotations

from tests.fixtures.blip_fixtures import folder, model, pixels, tokenizer, wide_folder

__all__ = ["folder", "model", "pixels", "tokenizer", "wide_folder"]

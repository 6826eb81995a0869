"""Small BLIP captioners, their folders and images (`tests/fixtures/blip_fixtures.py`)."""

from __future__ import annotations

from tests.fixtures.blip_fixtures import folder, model, pixels, tokenizer, wide_folder
from tests.fixtures.hub_cache import hub_model

__all__ = ["folder", "hub_model", "model", "pixels", "tokenizer", "wide_folder"]

"""Small BLIP captioners, their folders and images (`tests/fixtures/blip_fixtures.py`)."""

from __future__ import annotations

from tests.fixtures.blip_fixtures import folder, model, pixels, tokenizer, wide_folder
from tests.fixtures.emulated_amx import gemm
from tests.fixtures.hub_cache import hub_model

__all__ = ["folder", "gemm", "hub_model", "model", "pixels", "tokenizer", "wide_folder"]

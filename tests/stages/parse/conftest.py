"""A model on the hub for the tests of the parsers."""

from tests.fixtures.hub_cache import hub_model

__all__ = ["hub_model"]

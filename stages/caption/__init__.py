"""Captions for images: given ones (oracle, import) and models."""

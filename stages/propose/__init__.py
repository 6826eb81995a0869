"""Candidates by a model that sees the image and its boxes, instead of caption, parse and match."""

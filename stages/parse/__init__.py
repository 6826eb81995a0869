"""Captions to scene graphs: the parse stage and its parsers."""

"""relforge: relation pseudo-labels from a detection dataset."""

__version__ = "0.1.0"

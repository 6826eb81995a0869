"""Detections in the files that others use: one file a format, each with `read` and `write`."""

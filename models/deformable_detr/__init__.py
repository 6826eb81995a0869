"""Deformable DETR: boxes and classes, to start the families of the deformable line from."""

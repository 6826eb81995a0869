"""DETR: boxes and classes, to start the families of the DETR line from."""

"""QPIC: one query per pair on DETR."""

"""QAHOI: one query per pair on Deformable DETR."""

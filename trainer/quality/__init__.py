"""Fitting of the quality of relations (`relforge quality fit`)."""

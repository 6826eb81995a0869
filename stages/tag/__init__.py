"""Scores for candidate relations: by rule or by model."""

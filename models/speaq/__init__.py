"""Iterative SGG, and its training by SpeaQ."""

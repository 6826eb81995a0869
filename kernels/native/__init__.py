"""Builds and loads the native libraries of every room."""

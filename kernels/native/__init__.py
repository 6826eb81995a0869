"""Builds and loads the native libraries of relforge."""

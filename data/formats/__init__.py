"""Relation data in the files that other tools read and write, one file a format."""

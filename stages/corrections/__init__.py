"""What people said of a run's relations: read from annotation tools, kept as a table, applied."""

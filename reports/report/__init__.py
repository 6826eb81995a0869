"""The report of a run: losses by stage and reason, distribution of the labels, and their quality."""

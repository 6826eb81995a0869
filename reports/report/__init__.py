"""What became of a run: where its rows went, what its labels are, and how good they are."""

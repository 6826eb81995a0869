"""The picture page of a run: what was labelled, why, and what the gold says of it."""

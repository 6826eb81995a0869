"""The image page of a run: what was labelled, why, and whether the gold agrees."""

"""Training examples: from run folders and sources to batches."""

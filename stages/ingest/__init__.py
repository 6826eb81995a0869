"""Detection datasets in: one adapter per source format."""

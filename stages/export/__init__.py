"""Relations out: one writer per target format."""

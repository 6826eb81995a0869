"""Which scored relations are kept."""

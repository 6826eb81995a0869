"""The run folder: storage, commits, sidecars and fingerprints."""

"""Run folder, shard commit, Ray execution and the command line."""

"""One step of a text decoder on a GPU in few kernels: norms, attention over caches, the choice of a token."""

"""The bundled trainer: loop, optimiser, snapshots, and one recipe per task."""

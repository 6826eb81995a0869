"""What `benchmarks/quality.py` is made of: a drawn world, cached trainings, and one file per experiment."""

"""Runs a job: the plan, the loop, Ray, workers, and the progress of a run."""

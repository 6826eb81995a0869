"""Runs a job: the plan, the loop, Ray, workers, and what a run tells while it goes."""

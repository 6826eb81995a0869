"""Training of pair priors (`relforge ground fit`)."""

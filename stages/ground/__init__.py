"""Which boxes a claim means: a prior over the box pairs that its classes allow."""

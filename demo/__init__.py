"""The embedded world: generator, small trained weights, ground truth."""

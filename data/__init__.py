"""What trainer and evaluation read: sources, label lists, targets, batches, transforms."""

"""Measures of labels and detections against gold: one file a benchmark."""

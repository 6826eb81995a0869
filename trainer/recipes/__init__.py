"""One recipe per model and purpose, readable from top to bottom."""

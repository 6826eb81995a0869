"""One recipe per task."""

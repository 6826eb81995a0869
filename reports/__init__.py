"""What a run folder says: queries, differences, the report page and the image page."""

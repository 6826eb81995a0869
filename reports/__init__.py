"""Reading run folders: queries, differences, the report page and the image page."""

"""The stages: ingest, caption, parse, match, tag, select, export."""

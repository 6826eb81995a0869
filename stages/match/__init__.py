"""Scene-graph entities to boxes through synonyms, and candidate relations."""

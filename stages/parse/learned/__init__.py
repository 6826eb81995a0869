"""The parser relforge ships: a small graph tagger trained on FACTUAL captions."""

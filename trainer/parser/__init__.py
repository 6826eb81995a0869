"""Trains the parser `relforge` (`stages/parse/learned`): alignment, composition, batches, losses."""

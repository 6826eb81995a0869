"""DEFR: a whole image's interactions, by a vision transformer and rows that language wrote."""

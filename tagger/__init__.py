"""The RLIPv2 model family and the R-Tagger."""

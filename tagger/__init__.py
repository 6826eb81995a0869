"""The R-Tagger as a tool: images, boxes and candidates in, scores out."""

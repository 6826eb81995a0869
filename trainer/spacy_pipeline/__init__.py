"""Training material for the embedded spaCy pipeline: converted treebanks and generated captions."""

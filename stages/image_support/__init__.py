"""How likely a candidate's interaction is anywhere in its image, by a model of whole images."""

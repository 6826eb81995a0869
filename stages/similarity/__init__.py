"""How well the image of a pair and a sentence about it fit, as models of image-text matching see it."""

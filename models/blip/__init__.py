"""BLIP captioning (Li et al., 2022): load any published form of the weights, encode an image once, decode
its captions together. Imports nothing beyond torch, transformers, numpy, safetensors and Pillow."""

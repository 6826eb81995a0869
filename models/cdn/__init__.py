"""CDN: pairs, then their relations, in two DETR decoders; labels re-weighted in a second stage."""

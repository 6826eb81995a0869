"""RLIP-ParSeD (RLIPv1): ParSeD with texts, fused after the decoders."""

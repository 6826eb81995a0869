"""ParSeD (RLIPv1): closed labels, without texts."""

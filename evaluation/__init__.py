"""How good relations are, against gold."""

"""What the networks of several families are composed of."""

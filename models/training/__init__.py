"""What training a relation model needs besides the network: targets, assignment, losses."""

"""A run as a Ray job: the package and the config are shipped, so the cluster needs no relforge."""

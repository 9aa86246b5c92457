"""Models: a network, what its inputs and outputs mean, and how it is built from a config."""

"""Conformers of given molecules: what goes into the network, and what is made of its answer."""

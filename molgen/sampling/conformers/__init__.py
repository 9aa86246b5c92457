"""Conformers of given molecules, drawn by a network."""

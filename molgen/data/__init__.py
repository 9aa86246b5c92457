"""Molecules on disk: readers, bond perception, the packed store and what is known about QM9."""

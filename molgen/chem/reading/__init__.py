"""Readers of molecule files, one module per format."""

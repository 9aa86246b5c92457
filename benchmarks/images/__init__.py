"""Samplers on one image network."""

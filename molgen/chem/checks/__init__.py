"""Checks of single molecules beside those of bonds and coordinates: a function each."""

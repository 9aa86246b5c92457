"""Mechanisms that no measurement has promoted yet; the main road does not import them."""

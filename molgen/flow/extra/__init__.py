"""Mechanisms beside the main road, for your own models: sampling and training do not load them."""

"""Checks: what fraction of a set of molecules holds together, and by which convention."""

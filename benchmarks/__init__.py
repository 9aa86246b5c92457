"""Benchmarks, reports and pictures: ``python -m benchmarks COMMAND``."""

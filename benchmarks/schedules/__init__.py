"""Schedules, total variances and solvers at equal numbers of network calls."""

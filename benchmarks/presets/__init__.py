"""Search of solver and noise levels for each number of network calls."""

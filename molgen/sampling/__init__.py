"""From a request to molecules: sizes, noise, solver, decoding, files."""

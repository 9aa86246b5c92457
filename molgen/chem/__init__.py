"""Chemistry: elements, molecules, valences, decoding and conversion to RDKit."""

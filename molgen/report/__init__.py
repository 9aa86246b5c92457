"""One page of a file of molecules: rates, distributions, drawings and geometries."""

"""Published recipes, rebuilt to be compared with: elements and coordinates, no bonds.

A domain of its own, as images are: it shares schedules, solvers, couplings, the data and the road
of a training run with the models of this package, which know nothing of it.
"""

"""The learnt refinement: restraints from a graph and positions, and their solution."""

"""Whether a molecule's own bond graph and its geometry describe the same compound.

A bond graph may be perfect over hopeless coordinates, and coordinates may be fine under a wrong
graph. The two agree when the molecule perceived from elements and coordinates alone has the same
constitution as the molecule's own graph: equal canonical SMILES without stereo, in which the
number of hydrogens on each atom, bond orders, aromaticity and formal charges all take part. A
molecule whose own graph is invalid, or whose coordinates yield no molecule, does not agree.
"""

from __future__ import annotations

from molgen.chem.constitution import constitution
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.metrics.perception import Perception


def check_graph(molecule: Molecule, total_charge: int | None = None) -> Perception:
    """Connected validity of a molecule's own graph; the geometry is not judged.

    Args:
        molecule: A molecule with bonds.
        total_charge: Of the molecule; None for the sum of its own formal charges.

    Returns:
        Valid when RDKit sanitises the graph, it is one fragment, has no radicals and the total
        charge.
    """
    built = build_mol(molecule, total_charge)
    if built.reason:
        return Perception(None, built.reason)
    return Perception(constitution(built.mol))


def graphs_agree(graph: Perception, perception: Perception) -> bool:
    """Whether both are valid and have the same constitution (see the module's text)."""
    return graph.is_valid and graph.smiles == perception.smiles

"""Whether a molecule's own bond graph and its geometry describe the same compound.

A bond graph may be perfect over hopeless coordinates, and coordinates may be fine under a wrong
graph. The two agree when the molecule perceived from elements and coordinates alone has the same
constitution as the molecule's own graph: equal canonical SMILES without stereo, in which the
number of hydrogens on each atom, bond orders, aromaticity and formal charges all take part. A
molecule whose own graph is invalid, or whose coordinates yield no molecule, does not agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from molgen.chem.constitution import constitution
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.eval.perception import Perception


@dataclass(frozen=True)
class GraphCheck:
    """What a molecule's own bond graph says.

    Attributes:
        smiles: Canonical SMILES without stereo; None for an invalid graph.
        reason: Empty for a valid graph, else a short phrase.
    """

    smiles: str | None
    reason: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether the graph is one neutral closed-shell molecule."""
        return self.smiles is not None


def check_graph(molecule: Molecule) -> GraphCheck:
    """Connected validity of a molecule's own graph; the geometry is not judged.

    Args:
        molecule: A molecule with bonds.

    Returns:
        Valid when RDKit sanitises the graph, it is one fragment, has no radicals and no net
        charge.
    """
    built = build_mol(molecule)
    if built.reason:
        return GraphCheck(None, built.reason)
    return GraphCheck(constitution(built.mol))


def graphs_agree(graph: GraphCheck, perception: Perception) -> bool:
    """Whether both are valid and have the same constitution (see the module's text)."""
    return graph.is_valid and graph.smiles == perception.smiles

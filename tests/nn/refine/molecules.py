"""Graphs with positions to refine."""

from __future__ import annotations

from functools import cache

import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from torch import Tensor

from molgen.checkpoint import find_model, load_model
from molgen.chem.elements import QM9
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import bond_matrix
from molgen.models.graph_fit import classes_of, packed
from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.restraints import RestraintNet

SMILES = (
    *("[H][H]", "O", "CCO", "CC#N", "C1CC1", "N#CC#N", "c1ccoc1", "CC(=O)N", "C12C3C4C1C5C2C3C45"),
    *("O.CC", "CC(C)(C)CC#C", "NCC(=O)NCC(=O)NCC(=O)O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "[He]"),
)
"""Rings, cages, straight angles, fragments, and molecules of two, three and 33 atoms."""


@cache
def shipped_net(dtype: torch.dtype = torch.float32) -> RestraintNet:
    """The network of the shipped weights."""
    net = load_model(find_model("qm9-few"), "cpu").model.network.refine
    assert net is not None
    return net.to(dtype)


@cache
def molecule(smiles: str, dtype: torch.dtype = torch.float64) -> tuple[PackedGraph, Tensor]:
    """A molecule and positions near a minimum, in units of the shipped weights."""
    if smiles == "[He]":  # an atom by itself
        one = PackedGraph(*(torch.zeros(1, dtype=torch.long),) * 2, *no_bonds(), torch.tensor([1]))
        return one, torch.zeros(1, 3, dtype=dtype)
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    found = molecule_of(mol)
    noise = torch.randn(found.n_atoms, 3, generator=torch.Generator().manual_seed(0))
    pos = torch.from_numpy(found.pos) / 2**0.5 + 0.05 * noise
    return packed([classes_of(found, bond_matrix(found), QM9)]), pos.to(dtype)


def no_bonds() -> tuple[Tensor, Tensor]:
    """Bonds and their orders where there are none."""
    return torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, dtype=torch.long)


def together(graphs: list[PackedGraph]) -> PackedGraph:
    """Graphs in one."""
    sizes = torch.cat([one.size for one in graphs])
    offsets = (sizes.cumsum(0) - sizes).tolist()
    return PackedGraph(
        element=torch.cat([one.element for one in graphs]),
        charge=torch.cat([one.charge for one in graphs]),
        bonds=torch.cat([one.bonds + k for one, k in zip(graphs, offsets, strict=True)]),
        order=torch.cat([one.order for one in graphs]),
        size=sizes,
    )

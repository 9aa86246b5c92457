from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch as GraphBatch
from torch_geometric.loader import DataLoader

from molgen.chem.elements import QM9, Vocabulary
from molgen.chem.molecule import bond_matrix
from molgen.data.loader import load_split
from molgen.data.pyg import StoreDataset, from_dense, to_data, to_dense
from molgen.data.store import MoleculeStore
from molgen.errors import DataError


def graphs_of(sample: MoleculeStore, split: str) -> GraphBatch:
    dataset = StoreDataset(sample, split)
    return next(iter(DataLoader(dataset, batch_size=len(dataset))))


def test_a_graph_holds_the_molecule(sample: MoleculeStore) -> None:
    for index in range(0, len(sample), 20):
        molecule = sample[index]
        data = to_data(molecule)
        assert data.validate()
        assert data.is_undirected()
        assert data.z.tolist() == molecule.atomic_numbers.tolist()
        assert data.formal_charge.tolist() == molecule.formal_charge.tolist()
        assert np.array_equal(data.pos.numpy(), molecule.pos)
        dense = torch.zeros(molecule.n_atoms, molecule.n_atoms, dtype=torch.long)
        dense[data.edge_index[0], data.edge_index[1]] = data.edge_attr
        assert np.array_equal(dense.numpy(), bond_matrix(molecule))


def test_the_dataset_is_the_split(sample: MoleculeStore) -> None:
    dataset = StoreDataset(sample.path, "val")
    rows = sample.split("val")
    assert len(dataset) == len(rows) == 30
    assert np.array_equal(dataset[3].pos.numpy(), sample[int(rows[3])].pos)
    assert len(dataset[5:9]) == 4
    with pytest.raises(DataError, match="no split named"):
        StoreDataset(sample, "dev")


def test_dense_is_what_the_loader_makes(sample: MoleculeStore) -> None:
    dense = to_dense(graphs_of(sample, "test"), QM9)
    data = load_split(sample, "test", QM9)
    expected = data.batch(torch.arange(len(data.n_atoms)))
    assert torch.equal(dense.mask, expected.mask)
    assert torch.equal(dense.bond, expected.bond)
    assert torch.equal(dense.element, expected.element)
    real = dense.mask
    assert torch.equal(dense.charge[real], expected.charge[real])
    assert torch.allclose(dense.pos, expected.pos, atol=1e-5)


def test_there_and_back(sample: MoleculeStore) -> None:
    graphs = graphs_of(sample, "val")
    back = from_dense(to_dense(graphs, QM9), QM9)
    assert back.num_graphs == graphs.num_graphs
    for key in ("z", "formal_charge", "edge_index", "edge_attr", "batch", "ptr"):
        assert torch.equal(back[key], graphs[key]), key
    assert torch.allclose(back.pos, graphs.pos, atol=6e-4)  # each centred anew


def test_an_element_outside_the_vocabulary_is_named(sample: MoleculeStore) -> None:
    with pytest.raises(DataError, match=r"the graphs hold \[.*8.*\], the model knows \[1, 6\]"):
        to_dense(graphs_of(sample, "val"), Vocabulary((1, 6), (-1, 0, 1)))

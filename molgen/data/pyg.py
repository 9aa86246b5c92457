"""PyTorch Geometric's view of the store, and its download of the raw QM9 files.

The only module that imports torch_geometric.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch as GraphBatch
from torch_geometric.data import Data, Dataset, download_url, extract_zip
from torch_geometric.datasets import QM9
from torch_geometric.utils import to_dense_adj, to_dense_batch

from molgen.chem.elements import Vocabulary
from molgen.chem.molecule import Molecule
from molgen.data.sources.gdb9 import SDF, UNCHARACTERIZED
from molgen.data.loader import Batch
from molgen.data.store import MoleculeStore
from molgen.errors import DataError


class StoreDataset(Dataset):  # type: ignore[misc]
    """One split of a store as a PyTorch Geometric dataset of `to_data` graphs.

    Args:
        store: An open store, or its folder.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        DataError: The folder is not a finished store, or there is no such split.

    Example:
        >>> from torch_geometric.loader import DataLoader
        >>> batches = DataLoader(StoreDataset("data/sample", "val"), batch_size=10)
        >>> next(iter(batches)).num_graphs
        10
    """

    def __init__(self, store: MoleculeStore | str | Path, split: str) -> None:
        super().__init__()
        self.store = store if isinstance(store, MoleculeStore) else MoleculeStore.open(store)
        self.rows = self.store.split(split)

    def len(self) -> int:
        """Number of molecules in the split."""
        return len(self.rows)

    def get(self, idx: int) -> Data:
        """Molecule `idx` of the split."""
        return to_data(self.store[int(self.rows[idx])])


def to_data(molecule: Molecule) -> Data:
    """A molecule as a graph.

    Args:
        molecule: n atoms and m bonds.

    Returns:
        ``z`` (n,) int64, ``pos`` (n, 3) float32 in Å, ``formal_charge`` (n,) int64,
        ``edge_index`` (2, 2m) int64 with both directions of each bond, sorted, and ``edge_attr``
        (2m,) int64, the bond classes 1, 2, 3 and 4 (aromatic).
    """
    bonds = torch.from_numpy(molecule.bonds.astype(np.int64))
    ends = torch.cat([bonds[:, :2], bonds[:, [1, 0]]])
    order = (ends[:, 0] * molecule.n_atoms + ends[:, 1]).argsort()
    return Data(
        z=torch.from_numpy(molecule.atomic_numbers.astype(np.int64)),
        pos=torch.from_numpy(molecule.pos.astype(np.float32)),
        formal_charge=torch.from_numpy(molecule.formal_charge.astype(np.int64)),
        edge_index=ends[order].T.contiguous(),
        edge_attr=bonds[:, 2].repeat(2)[order],
    )


def to_dense(graphs: GraphBatch, vocabulary: Vocabulary) -> Batch:
    """A batch of graphs as the padded tensors that models take.

    Args:
        graphs: A batch of `to_data` graphs.
        vocabulary: Elements and charges of the model.

    Returns:
        The same molecules, each centred on the mean of its atoms.

    Raises:
        DataError: A graph holds an element or charge outside the vocabulary.
    """
    pos, mask = to_dense_batch(graphs.pos, graphs.batch)
    centre = pos.sum(dim=1, keepdim=True) / mask.sum(dim=1)[:, None, None]
    element, _ = to_dense_batch(_classes(graphs.z, vocabulary.atomic_numbers), graphs.batch)
    charge, _ = to_dense_batch(_classes(graphs.formal_charge, vocabulary.charges), graphs.batch)
    bond = to_dense_adj(
        graphs.edge_index,
        graphs.batch,
        graphs.edge_attr,
        max_num_nodes=mask.shape[1],
        batch_size=len(mask),
    )
    return Batch(
        pos=(pos - centre) * mask[..., None], element=element, charge=charge, bond=bond, mask=mask
    )


def from_dense(batch: Batch, vocabulary: Vocabulary) -> GraphBatch:
    """The inverse of `to_dense`, but for the place of each molecule's centre.

    Args:
        batch: Padded tensors of B molecules.
        vocabulary: Elements and charges of the model.

    Returns:
        A batch of B `to_data` graphs.
    """
    elements = torch.tensor(vocabulary.atomic_numbers, device=batch.pos.device)
    charges = torch.tensor(vocabulary.charges, device=batch.pos.device)
    graphs = []
    for index, mask in enumerate(batch.mask):
        bond = batch.bond[index][mask][:, mask]
        edge_index = bond.nonzero().T
        graphs.append(
            Data(
                z=elements[batch.element[index][mask]],
                pos=batch.pos[index][mask],
                formal_charge=charges[batch.charge[index][mask]],
                edge_index=edge_index.contiguous(),
                edge_attr=bond[edge_index[0], edge_index[1]],
            )
        )
    return GraphBatch.from_data_list(graphs)


def download_raw_qm9(folder: Path) -> None:
    """Download ``gdb9.sdf`` and ``uncharacterized.txt`` from where PyTorch Geometric has them.

    Args:
        folder: Where to put them; it gets either both files or none.

    Raises:
        DataError: They cannot be downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as scratch:
            extract_zip(download_url(QM9.raw_url, scratch, log=False), scratch, log=False)
            listed = download_url(QM9.raw_url2, scratch, filename=UNCHARACTERIZED, log=False)
            Path(listed).replace(folder / UNCHARACTERIZED)
            (Path(scratch) / SDF).replace(folder / SDF)
    except Exception as error:  # the client, and so its errors, vary with PyG
        raise DataError(
            f"QM9 cannot be downloaded from {QM9.raw_url} ({type(error).__name__})",
            "Run: pip install qm9pack==1.0.3, then this command again",
        ) from error


def _classes(values: Tensor, known: tuple[int, ...]) -> Tensor:
    matches = values[:, None] == torch.tensor(known, device=values.device)
    if not bool(matches.any(dim=1).all()):
        outside = sorted(set(values.tolist()) - set(known))
        raise DataError(f"the graphs hold {outside}, the model knows {list(known)}")
    return matches.long().argmax(dim=1)

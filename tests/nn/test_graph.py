"""The laws of a network that is given a graph with stereo labels."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.chem.graph_features import graph_features
from molgen.config.conformers import ConformerModelConfig
from molgen.config.recipe import DimsConfig
from molgen.data.conformer_batches import GraphBatch, collate
from molgen.data.conformer_store import StoredGraph
from molgen.tasks.conformers import ConformerModel, Noised, build_conformer_model

SMILES = ("C[C@H](N)C(=O)O", "F/C=C/[C@@](C)(Cl)Br", "c1ccccc1C[S@](=O)C", "C1C[C@H]2C[C@@H]1CO2")
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-9}

each_precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
some_examples = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**31)
angles = st.tuples(*[st.floats(0, 2 * math.pi)] * 3)


def model_of(seed: int, dtype: torch.dtype) -> ConformerModel:
    torch.manual_seed(seed)
    dims = DimsConfig(
        scalar=16, vector=4, pair=8, pair_hidden=8, n_heads=2, n_frames=2, mlp=16, noise=16
    )
    model = build_conformer_model(ConformerModelConfig(n_layers=2, n_radial=8, dims=dims))
    for weight in model.parameters():  # modulations start at zero
        torch.nn.init.normal_(weight, std=0.3)
    return model.to(dtype).eval()


def graphs(*smiles: str) -> GraphBatch:
    found = [graph_features(one) for one in smiles]
    return collate([StoredGraph(one.atoms, one.pairs, one.centres) for one in found])


def case(graph: GraphBatch, seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Centred positions, an earlier answer, and levels."""
    draw = torch.Generator().manual_seed(seed)
    shape = (*graph.mask.shape, 3)
    pos, earlier = (2 * torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(2))
    real = graph.mask[..., None]
    pos, earlier = (
        (one - (one * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)) * real
        for one in (pos, earlier)
    )
    t = torch.rand(len(pos), generator=draw, dtype=torch.float64)
    return pos.to(dtype), earlier.to(dtype), t.to(dtype)


def orthogonal(turn: tuple[float, float, float], reflect: bool, dtype: torch.dtype) -> Tensor:
    alpha, beta, gamma = torch.tensor(turn, dtype=torch.float64)
    parity = torch.tensor(float(reflect), dtype=torch.float64)
    return o3.Irreps("1o").D_from_angles(alpha, beta, gamma, parity).to(dtype)


def mirrored(graph: GraphBatch) -> GraphBatch:
    return replace(graph, centre_sign=-graph.centre_sign)


@each_precision
@some_examples
@given(seeds, angles, st.booleans())
def test_turns_and_reflections_with_their_labels_are_a_symmetry(
    dtype: torch.dtype, seed: int, turn: tuple[float, float, float], reflect: bool
) -> None:
    model, graph = model_of(seed, dtype), graphs(*SMILES)
    pos, earlier, t = case(graph, seed, dtype)
    matrix = orthogonal(turn, reflect, dtype)
    out = model(Noised(pos, t), graph, earlier)
    moved = model(
        Noised(pos @ matrix.T, t), mirrored(graph) if reflect else graph, earlier @ matrix.T
    )
    torch.testing.assert_close(moved, out @ matrix.T, atol=TOLERANCE[dtype] * 10, rtol=0)


@each_precision
@some_examples
@given(seeds)
def test_a_mirror_image_with_the_old_labels_is_another_molecule(
    dtype: torch.dtype, seed: int
) -> None:
    model, graph = model_of(seed, dtype), graphs(SMILES[0], SMILES[2])
    pos, earlier, t = case(graph, seed, dtype)
    out = model(Noised(pos, t), graph, earlier)
    other = model(Noised(-pos, t), graph, -earlier)
    assert float((other + out).detach().flatten(1).abs().amax(dim=1).min()) > 1e-4


@each_precision
@some_examples
@given(seeds, st.sampled_from(SMILES))
def test_atoms_may_be_numbered_in_any_order(dtype: torch.dtype, seed: int, smiles: str) -> None:
    model, graph = model_of(seed, dtype), graphs(smiles)
    pos, earlier, t = case(graph, seed, dtype)
    order = torch.randperm(pos.shape[1], generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    renumbered = GraphBatch(
        graph.atoms[:, order],
        graph.pairs[:, order][:, :, order],
        place[graph.centre_atoms],
        graph.centre_sign,
        graph.mask,
    )
    out = model(Noised(pos, t), graph, earlier)
    other = model(Noised(pos[:, order], t), renumbered, earlier[:, order])
    torch.testing.assert_close(other, out[:, order], atol=TOLERANCE[dtype] * 10, rtol=0)


@each_precision
@some_examples
@given(seeds)
def test_a_molecule_does_not_see_its_batch(dtype: torch.dtype, seed: int) -> None:
    model, graph = model_of(seed, dtype), graphs(*SMILES)
    pos, earlier, t = case(graph, seed, dtype)
    out = model(Noised(pos, t), graph, earlier)
    for row, smiles in enumerate(SMILES):
        alone = graphs(smiles)
        n = alone.mask.shape[1]
        one = model(
            Noised(pos[row : row + 1, :n], t[row : row + 1]), alone, earlier[row : row + 1, :n]
        )
        torch.testing.assert_close(one[0], out[row, :n], atol=TOLERANCE[dtype] * 10, rtol=0)


@each_precision
@some_examples
@given(seeds, st.integers(0, 2), st.sampled_from((1, -1)))
def test_neighbours_of_a_centre_may_be_named_in_any_order(
    dtype: torch.dtype, seed: int, shift: int, parity: int
) -> None:
    model, graph = model_of(seed, dtype), graphs(*SMILES)
    pos, earlier, t = case(graph, seed, dtype)
    ends = graph.centre_atoms[:, 1:].roll(shift, dims=1)
    ends = ends if parity == 1 else ends.flip(1)
    other = replace(
        graph,
        centre_atoms=torch.cat([graph.centre_atoms[:, :1], ends], dim=1),
        centre_sign=graph.centre_sign * parity,
    )
    out, same = (model(Noised(pos, t), one, earlier) for one in (graph, other))
    torch.testing.assert_close(same, out, atol=TOLERANCE[dtype] * 10, rtol=0)

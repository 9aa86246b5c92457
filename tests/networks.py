"""Small networks whose weights leave no path silent, and random molecules to feed them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from hypothesis import strategies as st
from torch import Tensor

from molgen.chem.elements import QM9
from molgen.models.build import start_from
from molgen.models.denovo import POS, DeNovo, Scales
from molgen.models.valences import allowed_counts
from molgen.nn.block import NetworkDims
from molgen.nn.network import EquivariantTransformer, Estimate, NetworkSpec, SelfCond
from molgen.nn.valence_bp import ValenceBP

DTYPES = (torch.float32, torch.float64)
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-10}
"""Largest difference, relative to the largest entry, that rounding may make."""

WIDTH = NetworkDims(
    scalar=24, vector=6, pair=12, pair_hidden=10, n_heads=4, n_frames=3, mlp=20, noise=16
)
SIZES = NetworkSpec(n_layers=2, n_radial=8, max_atoms=12)

HEADS = ("pos", "element", "charge", "bond")
"""What every estimate says."""

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=4)
seeds = st.integers(0, 2**31)


@dataclass(frozen=True)
class Case:
    """Arguments of one forward pass of `DeNovo`."""

    state: dict[str, Tensor]
    lam: Tensor
    mask: Tensor
    self_cond: SelfCond | None
    lam_element: Tensor | None = None


@cache
def random_model(dtype: torch.dtype = torch.float32) -> DeNovo:
    """A model in which nothing is zero: blocks start with a silent modulation."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = DeNovo(EquivariantTransformer(SIZES, WIDTH), Scales(1.4, 2.0, 1.0))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(dtype)


@cache
def fitting_model(*, untrained: bool = False, dtype: torch.dtype = torch.float32) -> DeNovo:
    """The random model with a head of distances, which has opinions unless it is untrained.

    Classes of a last call are what the heads say; see `agreeing_model`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(9)
        network = EquivariantTransformer(
            replace(SIZES, step_size_cond=True, smacof_iterations=8), WIDTH
        )
        model = DeNovo(network, Scales(1.4, 2.0, 1.0))
        start_from(model, random_model())
        head = network.distances
        assert head is not None
        if not untrained:
            for last in (head.out, head.own, head.bond, head.atom):
                torch.nn.init.normal_(last.weight, std=0.05)
    return model.to(dtype).eval()


@cache
def agreeing_model(dtype: torch.dtype = torch.float32) -> DeNovo:
    """The fitting model, whose last call brings its classes to terms too."""
    model = fitting_model(dtype=dtype)
    valence_bp = ValenceBP(allowed_counts(QM9), 4)
    return DeNovo(model.network, model.scales, valence_bp).eval()


@cache
def refining_model(dtype: torch.dtype = torch.float32, *, untrained: bool = False) -> DeNovo:
    """The agreeing model, which also refines its molecules."""
    with torch.random.fork_rng():
        torch.manual_seed(13)
        more = replace(SIZES, step_size_cond=True, smacof_iterations=8, refine_layers=2)
        model = DeNovo(
            EquivariantTransformer(more, WIDTH), Scales(1.4, 2.0, 1.0), agreeing_model().valence_bp
        )
        start_from(model, fitting_model())
        layers = model.network.refine
        assert layers is not None
        if not untrained:
            for last in (layers.distances.out, layers.torsions.out, layers.impropers.out):
                torch.nn.init.normal_(last.weight, std=0.1)
    return model.to(dtype).eval()


def random_case(
    n_atoms: list[int], seed: int, dtype: torch.dtype, *, hinted: bool, per_atom: bool = False
) -> Case:
    """Noisy molecules at levels within and beyond those of training, padded to the largest."""
    generator = torch.Generator().manual_seed(seed)
    batch, n = len(n_atoms), max(n_atoms)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mask = torch.arange(n) < torch.tensor(n_atoms)[:, None]
    bond = normal(batch, n, n, SIZES.n_bonds)
    self_cond = SelfCond(
        pos=POS.project(1.5 * normal(batch, n, 3), mask),
        # On padding these are whatever the heads said there.
        element=normal(batch, n, SIZES.n_elements).softmax(dim=-1),
        bond=(bond + bond.transpose(1, 2)).softmax(dim=-1),
    )
    state = {
        "pos": POS.project(1.5 * normal(batch, n, 3), mask),
        "element": normal(batch, n, SIZES.n_elements) * mask[..., None],
    }
    levels = (batch, n) if per_atom else (batch,)
    lam, lam_element = 2.5 * normal(*levels), 2.5 * normal(*levels)
    case = Case(state, lam, mask, self_cond if hinted else None, lam_element if per_atom else None)
    return cast_case(case, dtype)


def cast_case(case: Case, dtype: torch.dtype) -> Case:
    """The same numbers in another precision."""
    self_cond = case.self_cond
    if self_cond is not None:
        self_cond = SelfCond(
            self_cond.pos.to(dtype), self_cond.element.to(dtype), self_cond.bond.to(dtype)
        )
    state = {name: value.to(dtype) for name, value in case.state.items()}
    lam_element = case.lam_element
    if lam_element is not None:
        lam_element = lam_element.to(dtype)
    return Case(state, case.lam.to(dtype), case.mask, self_cond, lam_element)


def mapped_pos(case: Case, change: object) -> Case:
    """The case with a function applied to every tensor of positions."""
    assert callable(change)
    state = {**case.state, "pos": change(case.state["pos"])}
    self_cond = (
        None if case.self_cond is None else replace(case.self_cond, pos=change(case.self_cond.pos))
    )
    return replace(case, state=state, self_cond=self_cond)


@torch.no_grad()
def estimate_of(model: DeNovo, case: Case) -> Estimate:
    """What the model says."""
    return model(case.state, case.lam, case.mask, case.self_cond, case.lam_element)


def assert_same(one: Estimate, other: Estimate) -> None:
    """Equal up to rounding, in every modality."""
    for name in HEADS:
        assert_close(getattr(one, name), getattr(other, name), name)


def assert_close(one: Tensor, other: Tensor, name: str = "") -> None:
    """Equal up to the rounding of their dtype, relative to the largest entry."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    scale = max(1.0, float(other.abs().max())) if other.numel() else 1.0
    worst = float((one - other).abs().max()) if other.numel() else 0.0
    assert worst <= TOLERANCE[one.dtype] * scale, (name, worst, scale)

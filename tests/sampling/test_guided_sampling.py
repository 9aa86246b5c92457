"""Guidance of a run: towards a scaffold, away from other atoms, down any energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from torch import Tensor

from molgen.api import Generator
from molgen.checkpoint import LoadedModel
from molgen.chem.surroundings import vdw_radii
from molgen.config import parse_config
from molgen.errors import DataError, UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.guidance import energy_guided
from molgen.flow.plan import Plan
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers import SOLVERS, solver_named
from molgen.models.info import ModelInfo
from molgen.sampling.plan import default_plan
from molgen.sampling.request import Request, parse_interval
from molgen.sampling.run import Run
from molgen.sampling.sampler import Draw, draw
from molgen.sampling.steering.obstacle import SOFTNESS, Obstacle
from molgen.sampling.steering.steering import Steering
from molgen.sampling.steering.wanted import FACTOR, find_obstacle, find_steering
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.scaffold import PER_ATOM

from ..networks import random_model  # noqa: TID252

N_ATOMS = (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1)
RECIPE = {"model": {"pos_scale": 1.4}, "rows": {"kind": "completion"}}
INFO = ModelInfo("random", parse_config(RECIPE), N_ATOMS)
PLAIN = ModelInfo("plain", parse_config({"model": {"pos_scale": 1.4}}), N_ATOMS)
GRID = TimeGrid.from_sigma([10.0, 1.0, 0.3, 0.05])
PLAN = Plan(solver_named("dpm++2m"), GRID)
SCAFFOLD = np.array([[40.0, -7.0, 3.0], [41.2, -7.5, 3.9], [39.1, -6.2, 3.6]])
KNOWN = Conditioning(
    PER_ATOM, (GivenAtoms(np.array([1, 2, 3]), SCAFFOLD, np.array([1, 2, 0])),), "scaffold"
)
RADII = FACTOR * vdw_radii(np.array([1, 6, 7, 8, 9]))


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return LoadedModel(random_model().eval(), INFO)


def drawn(
    loaded: LoadedModel,
    steering: Steering | None,
    *,
    known: Conditioning | None = KNOWN,
    plan: Plan = PLAN,
) -> list[Draw]:
    return list(draw(loaded, range(3), plan=plan, seed=5, given=known, steering=steering))


def request_of(**options: object) -> Request:
    return Request(n=1, **options)  # type: ignore[arg-type]


def assert_equal(one: list[Draw], other: list[Draw]) -> None:
    """Bit by bit."""
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.beliefs.pos, b.beliefs.pos)
        assert np.array_equal(a.beliefs.element_log_prob, b.beliefs.element_log_prob)


def test_scale_one_is_no_guidance(loaded: LoadedModel) -> None:
    assert_equal(drawn(loaded, None), drawn(loaded, Steering(scale=1.0)))
    assert find_steering(INFO, request_of(scaffold="x.sdf", guidance=1.0), KNOWN) is None


def test_guidance_is_linear_in_its_scale(loaded: LoadedModel) -> None:
    """With a single call the molecule is the prediction: ``u + s (c - u)``."""
    plan = Plan(solver_named("ddim"), TimeGrid.from_sigma([1.0]))
    blind, known, twice = (
        [one.beliefs.pos for one in drawn(loaded, Steering(scale=scale), plan=plan)]
        for scale in (0.0, 1.0, 2.0)
    )
    for u, c, guided in zip(blind, known, twice, strict=True):
        assert np.abs(c - u)[3:].max() > 0.01
        assert np.abs(u + 2 * (c - u) - guided).max() < 1e-4


@pytest.mark.parametrize("name", SOLVERS)
def test_calls_are_counted_as_they_are_made(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    calls = []
    forward = loaded.model.forward

    def spy(*arguments: object) -> object:
        calls.append(arguments)
        return forward(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loaded.model, "forward", spy)
    plan = Plan(solver_named(name), GRID)
    steering = Steering(scale=2.0, interval=(-1.0, 1.5))
    drawn(loaded, steering, plan=plan)
    assert steering.network_calls(plan) == len(calls)
    assert plan.nfe < len(calls) < 2 * plan.nfe
    assert Steering().network_calls(plan) == plan.nfe


def test_an_interval_without_a_call_guides_nothing(loaded: LoadedModel) -> None:
    nowhere = Steering(scale=3.0, interval=(10.0, 11.0))
    assert_equal(drawn(loaded, None), drawn(loaded, nowhere))
    assert nowhere.network_calls(PLAN) == PLAN.nfe


def test_an_interval_in_angstrom_is_one_of_levels() -> None:
    request = request_of(scaffold="x.sdf", guidance=2.0, guidance_interval=(0.14, 2.8))
    steering = find_steering(INFO, request, KNOWN)
    assert steering is not None
    assert steering.interval == pytest.approx((-np.log(2.0), -np.log(0.1)))
    request = request_of(scaffold="x.sdf", guidance=2.0, guidance_interval=(0.0, 1.4))
    steering = find_steering(INFO, request, KNOWN)
    assert steering is not None
    assert steering.interval == (0.0, np.inf)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"guidance": 2.0}, "without --scaffold"),
        ({"guidance": 2.0, "formula": "CH4"}, "without --scaffold"),
        ({"scaffold": "x.sdf", "guidance": -1.0}, "guidance is -1"),
        ({"scaffold": "x.sdf", "guidance": float("nan")}, "guidance is nan"),
        ({"scaffold": "x.sdf", "guidance_interval": (0.1, 1.0)}, "without --guidance"),
        ({"scaffold": "x.sdf", "guidance": 2.0, "guidance_interval": (2.0, 1.0)}, "is 2-1"),
        ({"avoid": "pocket.pdb"}, "--avoid needs --scaffold"),
        ({"avoid": "pocket.pdb", "like": "x.smi"}, "--avoid needs --scaffold"),
    ],
)
def test_guidance_that_acts_on_nothing(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        request_of(**options)


def test_guidance_needs_levels_per_atom() -> None:
    with pytest.raises(UsageError, match=r"no effect on plain.*kind: completion"):
        find_steering(PLAIN, request_of(scaffold="x.sdf", guidance=2.0), KNOWN)


def test_intervals_are_read() -> None:
    assert parse_interval(" .1-2 ") == (0.1, 2.0)
    for text in ("", "1", "2-", "-1-2", "a-b"):
        with pytest.raises(UsageError, match=r"0\.1-2"):
            parse_interval(text)


def wall(places: np.ndarray) -> Obstacle:
    """Carbons."""
    return Obstacle(places, np.full(len(places), FACTOR * 1.7), RADII)


def overlap(draws: list[Draw], obstacle: Obstacle) -> float:
    """Sum over all unknown atoms, Å."""
    total = 0.0
    for one in draws:
        pos = torch.from_numpy(one.beliefs.pos[3:].astype(np.float64))[None]
        probability = torch.from_numpy(np.exp(one.beliefs.element_log_prob[3:]))[None]
        total += float(obstacle.overlaps(pos, probability.double()).sum())
    return total


@pytest.mark.parametrize("info", [INFO, PLAIN], ids=["per-atom", "noised"])
def test_atoms_to_avoid_are_avoided(loaded: LoadedModel, info: ModelInfo) -> None:
    model = LoadedModel(loaded.model, info)
    free = drawn(model, None)
    places = np.concatenate([one.beliefs.pos[3:5] for one in free]).astype(np.float64) + 0.4
    obstacle = wall(places)
    kept = drawn(model, Steering(obstacle=obstacle))
    assert overlap(free, obstacle) > 5.0
    assert overlap(kept, obstacle) < 0.5 * overlap(free, obstacle)
    for one in kept:
        assert np.abs(one.beliefs.pos[:3] - SCAFFOLD).max() < 1e-4


def test_atoms_out_of_reach_change_nothing(loaded: LoadedModel) -> None:
    far = wall(SCAFFOLD + 500.0)
    assert_equal(drawn(loaded, None), drawn(loaded, Steering(obstacle=far)))


def test_a_contact_goes_to_its_most_probable_depth() -> None:
    """A normal coordinate of variance v against a wall of variance w^2: ``o v / (v + w^2)``."""
    obstacle, unit = wall(np.zeros((1, 3))), 1.4
    lam = torch.tensor(0.8, dtype=torch.float64)
    start = torch.tensor([[[1.5, 0.0, 0.0]]], dtype=torch.float64)
    carbon = torch.eye(5, dtype=torch.float64)[1].expand(1, 1, 5)
    real = torch.ones(1, 1, dtype=torch.bool)

    def energy(x: object) -> Tensor:
        assert isinstance(x, Tensor)
        return obstacle.energy(x * unit, carbon, real)

    guided = energy_guided(
        lambda x, _: x, energy, 1.0, scaling=lambda level: obstacle.scaling(level, unit)
    )
    moved = guided(start / unit, lam)
    assert isinstance(moved, Tensor)
    variance = float(unit * unit_tv(lam)[1]) ** 2
    reach = 2 * FACTOR * 1.7
    expected = 1.5 + (reach - 1.5) * variance / (variance + SOFTNESS**2)
    assert float(moved[0, 0, 0]) * unit == pytest.approx(expected)


def placed(path: Path, places: np.ndarray) -> Path:
    """Carbons in a file."""
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(places))
    for index, place in enumerate(places.tolist()):
        mol.AddAtom(Chem.Atom(6))
        conformer.SetAtomPosition(index, place)
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    write = {
        ".sdf": lambda one: Chem.MolToMolBlock(one, kekulize=False) + "$$$$\n",
        ".xyz": Chem.MolToXYZBlock,
        ".pdb": Chem.MolToPDBBlock,
    }[path.suffix]
    path.write_text(write(mol.GetMol()))
    return path


@pytest.mark.parametrize("suffix", [".sdf", ".xyz", ".pdb"])
def test_obstacles_are_read_from_files(tmp_path: Path, suffix: str) -> None:
    places = SCAFFOLD + 3.0
    obstacle = find_obstacle(INFO, placed(tmp_path / f"pocket{suffix}", places), KNOWN)
    assert np.abs(obstacle.pos - places).max() < 1e-3
    assert obstacle.radius == pytest.approx(FACTOR * 1.7)
    assert obstacle.element_radius == pytest.approx(RADII)


def test_files_that_cannot_be_avoided(tmp_path: Path) -> None:
    same = placed(tmp_path / "same.xyz", SCAFFOLD + 0.1)
    with pytest.raises(UsageError, match="3 of the scaffold's own atoms"):
        find_obstacle(INFO, same, KNOWN)
    (tmp_path / "flat.smi").write_text("CCO\n")
    with pytest.raises(UsageError, match="no 3D coordinates"):
        find_obstacle(INFO, tmp_path / "flat.smi", KNOWN)
    (tmp_path / "notes.pdb").write_text("Dear diary\n")
    with pytest.raises(DataError, match="not a PDB file"):
        find_obstacle(INFO, tmp_path / "notes.pdb", KNOWN)
    with pytest.raises(DataError, match=r"cannot read .*none\.pdb"):
        find_obstacle(INFO, tmp_path / "none.pdb", KNOWN)


def height(pos: Tensor, probability: Tensor, mask: Tensor) -> Tensor:
    """Ten kT per Å of height; wants nitrogen."""
    return ((10 * pos[..., 2] - 5 * probability[..., 2]) * mask).sum(dim=1)


def test_an_energy_of_the_caller_is_lowered(loaded: LoadedModel) -> None:
    free, low = drawn(loaded, None), drawn(loaded, Steering(guide=height))
    for one, other in zip(free, low, strict=True):
        assert other.beliefs.pos[3:, 2].mean() < one.beliefs.pos[3:, 2].mean() - 0.05
        assert np.abs(other.beliefs.pos[:3] - SCAFFOLD).max() < 1e-4


def test_a_molecule_without_a_place_is_not_pushed(loaded: LoadedModel) -> None:
    """A constant force on all atoms is none where the frame is the molecule's own."""

    def constant(pos: Tensor, _: Tensor, mask: Tensor) -> Tensor:
        return (10 * pos[..., 2] * mask).sum(dim=1)

    free, pushed = (
        drawn(loaded, steering, known=None) for steering in (None, Steering(guide=constant))
    )
    for one, other in zip(free, pushed, strict=True):
        assert np.abs(one.beliefs.pos - other.beliefs.pos).max() < 1e-3


def test_an_energy_of_the_wrong_shape_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(UsageError, match=r"guide returned shape \[\] for 3 molecules"):
        drawn(loaded, Steering(guide=lambda pos, *_: pos.sum()))


def test_everything_at_once_from_python(loaded: LoadedModel, tmp_path: Path) -> None:
    core = placed(tmp_path / "core.xyz", SCAFFOLD)
    pocket = placed(tmp_path / "pocket.pdb", SCAFFOLD + 3.0)
    options: dict[str, Any] = {"scaffold": str(core), "avoid": str(pocket), "guide": height}
    generator = Generator(loaded)
    [mol] = generator.sample(1, steps=4, guidance=2.0, guidance_interval=(0.1, 2.0), **options)
    assert np.abs(mol.GetConformer().GetPositions()[:3] - SCAFFOLD).max() < 1e-4
    calls = Steering(scale=2.0, interval=(-np.log(2.0 / 1.4), -np.log(0.1 / 1.4)))
    n_calls = calls.network_calls(default_plan(INFO, 4))
    assert 4 < n_calls < 8
    assert mol.GetProp("molgen_steps") == "4"
    assert mol.GetProp("molgen_network_calls") == str(n_calls)
    [plain] = generator.sample(1, steps=4, **options)
    assert not plain.HasProp("molgen_network_calls")


def test_another_guidance_is_another_run(loaded: LoadedModel, tmp_path: Path) -> None:
    near, far = (
        str(placed(tmp_path / f"{name}.xyz", SCAFFOLD + shift))
        for name, shift in (("near", 3.0), ("far", 4.0))
    )
    ways: list[dict[str, object]] = [
        {},
        {"guidance": 2.0},
        {"guidance": 3.0},
        {"guidance": 2.0, "guidance_interval": (0.1, 2.0)},
        {"avoid": near},
        {"avoid": far},
        {"guide": height},
    ]

    def fingerprint(**way: object) -> str:
        request = request_of(scaffold="x.sdf", **way)
        return Run(loaded, request, PLAN, KNOWN, find_steering(INFO, request, KNOWN)).fingerprint

    prints = [fingerprint(**way) for way in ways]
    assert len(set(prints)) == len(ways)
    assert fingerprint(guidance=1.0) == prints[0]
    Path(near).rename(tmp_path / "renamed.xyz")
    assert fingerprint(avoid=str(tmp_path / "renamed.xyz")) == prints[4]

"""What is known of a molecule beforehand comes out as it went in."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from molgen.checkpoint import LoadedModel
from molgen.chem.decode import decode_argmax, decode_map
from molgen.config import parse_config
from molgen.errors import UsageError
from molgen.flow.plan import Plan
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedule import unit_tv
from molgen.models.denovo import ELEMENT, POS, SelfConditioned
from molgen.models.info import ModelInfo
from molgen.sampling.conditioning import find_conditioning, remark
from molgen.sampling.plan import default_plan, make_plan
from molgen.sampling.request import Request
from molgen.sampling.sampler import Draw, draw
from molgen.tasks.conditioning import SHARED_LEVEL, Conditioned, best_places
from molgen.tasks.formula import FORMULA
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.rows import given_rows
from molgen.tasks.scaffold import SCAFFOLD as SCAFFOLD_GIVEN

from ..networks import random_model  # noqa: TID252

N_ATOMS = (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1)
INFO = ModelInfo("random", parse_config({"model": {"pos_scale": 1.4}}), N_ATOMS)
PLANS = {
    "fitted": default_plan(INFO, 3),
    "stochastic": make_plan(INFO, 4, PlanOptions(solver="ancestral")),
    "raw": make_plan(INFO, 3, PlanOptions(solver="heun", schedule="smld", tv="native")),
    "multistep": make_plan(INFO, 4, PlanOptions(solver="unipc3")),
}
ETHANOL = (1, 1, 1, 1, 1, 1, 6, 6, 8)
SCAFFOLD = np.array([[40.0, -7.0, 3.0], [41.2, -7.5, 3.9], [39.1, -6.2, 3.6]])

each_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return LoadedModel(random_model().eval(), INFO)


def composition(*atoms: int) -> GivenAtoms:
    return GivenAtoms(np.array([INFO.vocabulary.atomic_numbers.index(atom) for atom in atoms]))


def scaffold() -> Conditioning:
    """C, N+ and O- far from the origin."""
    return Conditioning(
        SCAFFOLD_GIVEN,
        (GivenAtoms(np.array([1, 2, 3]), SCAFFOLD, np.array([1, 2, 0])),),
        "scaffold",
    )


def drawn(
    loaded: LoadedModel, known: Conditioning, plan: Plan, n: int = 6, **options: object
) -> list[Draw]:
    return list(draw(loaded, range(n), plan=plan, seed=5, given=known, **options))  # type: ignore[arg-type]


@each_plan
def test_a_composition_is_met_by_every_decoder(loaded: LoadedModel, plan: Plan) -> None:
    known = Conditioning(FORMULA, (composition(*ETHANOL), composition(1, 1, 1, 7)), "two")
    for one in drawn(loaded, known, plan):
        wanted = ETHANOL if one.index % 2 == 0 else (1, 1, 1, 7)
        for decode in (decode_argmax, decode_map):
            assert tuple(decode(one.beliefs).atomic_numbers.tolist()) == wanted
        assert np.exp(one.beliefs.element_log_prob).sum(axis=-1) == pytest.approx(1.0)


@each_plan
def test_known_atoms_stay_where_they_are(loaded: LoadedModel, plan: Plan) -> None:
    for one in drawn(loaded, scaffold(), plan):
        assert one.beliefs.n_atoms > 3
        assert np.abs(one.beliefs.pos[:3] - SCAFFOLD).max() < 1e-4
        molecule = decode_map(one.beliefs)
        assert molecule.atomic_numbers[:3].tolist() == [6, 7, 8]
        assert molecule.formal_charge[:3].tolist() == [0, 1, -1]
        assert np.isfinite(one.beliefs.pos).all()


def test_the_rest_moves_with_the_scaffold(loaded: LoadedModel) -> None:
    """Translating what is known translates the molecule, nothing else."""
    [part] = scaffold().atoms
    shift = np.array([-30.0, 5.0, 8.0])
    moved = Conditioning(
        SCAFFOLD_GIVEN, (GivenAtoms(part.element, SCAFFOLD + shift, part.charge),), "moved"
    )
    plan = PLANS["fitted"]
    for one, other in zip(drawn(loaded, scaffold(), plan), drawn(loaded, moved, plan), strict=True):
        assert np.abs(one.beliefs.pos + shift - other.beliefs.pos).max() < 1e-3


@each_plan
@pytest.mark.parametrize("kind", ["composition", "scaffold"])
def test_the_batch_size_changes_nothing(loaded: LoadedModel, plan: Plan, kind: str) -> None:
    parts = (composition(*ETHANOL), composition(1, 1, 1, 7), composition(1, 1, 8))
    known = scaffold() if kind == "scaffold" else Conditioning(FORMULA, parts, "three")
    reference = drawn(loaded, known, plan, n=9)
    for batch_size in (1, 4):
        others = drawn(loaded, known, plan, n=9, batch_size=batch_size)
        for one, other in zip(reference, others, strict=True):
            assert one.beliefs.n_atoms == other.beliefs.n_atoms
            assert np.abs(one.beliefs.pos - other.beliefs.pos).max() < 1e-3


def test_molecules_of_one_composition_differ(loaded: LoadedModel) -> None:
    known = Conditioning(FORMULA, (composition(*ETHANOL),), "one")
    first, second = drawn(loaded, known, PLANS["fitted"], n=2)
    assert np.abs(first.beliefs.pos - second.beliefs.pos).max() > 0.01


def rows_of(known: Conditioning, sizes: list[int]) -> Conditioned:
    """A denoiser over a batch of molecules of these sizes."""
    model = random_model()
    mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
    draws = torch.Generator().manual_seed(1)
    noise = {
        "pos": POS.prior(torch.randn(len(sizes), max(sizes), 3, generator=draws), mask),
        "element": ELEMENT.prior(torch.randn(len(sizes), max(sizes), 5, generator=draws), mask),
    }
    parts = [known.of(index) for index in range(len(sizes))]
    return Conditioned(
        SelfConditioned(model, mask), given_rows(parts, model, mask, noise), known.task
    )


def test_the_network_sees_known_rows_at_its_own_level() -> None:
    """For a state that is noised data the view is exactly that of the centred molecule."""
    denoise = rows_of(scaffold(), [6])
    rows = denoise.rows
    x0 = torch.randn(1, 6, 3)
    x0[:, :3] = rows.clean["pos"][:, :3]
    lam = torch.tensor(0.7, dtype=torch.float64)
    a, b = (value.float() for value in unit_tv(lam))
    view = SHARED_LEVEL.view(rows, {**rows.start, "pos": a * x0 + b * rows.noise["pos"]}, lam)
    expected = a * (x0 - x0.mean(dim=1, keepdim=True)) + b * rows.noise["pos"]
    assert torch.allclose(view["pos"], expected, atol=1e-5)
    a, b = (value.float() for value in unit_tv(lam + rows.leads["element"]))
    noised = a * rows.clean["element"] + b * rows.noise["element"]
    assert torch.allclose(view["element"][:, :3], noised[:, :3], atol=1e-6)
    assert torch.equal(view["element"][:, 3:], rows.noise["element"][:, 3:])


def test_predictions_and_hints_hold_what_is_known() -> None:
    denoise = rows_of(scaffold(), [6, 4])
    rows = denoise.rows
    with torch.inference_mode():
        x0 = denoise(rows.start, torch.tensor(0.0, dtype=torch.float64))
    assert isinstance(x0, dict)
    assert torch.equal(x0["pos"][:, :3], rows.clean["pos"][:, :3])
    assert torch.equal(x0["element"][:, :3], rows.clean["element"][:, :3])
    estimate = denoise.network.estimate
    self_cond = denoise.network.model.self_cond(estimate)
    assert self_cond.element[0, :3].argmax(dim=-1).tolist() == [1, 2, 3]
    assert self_cond.element[:, :3].max() == 1.0
    real = rows.mask[..., None]
    assert (self_cond.pos * real).sum(dim=1).abs().max() < 1e-5
    apart = self_cond.pos[:, :3] - rows.clean["pos"][:, :3]
    assert torch.allclose(apart, apart[:, :1].expand_as(apart), atol=1e-6)


def test_a_composition_goes_where_the_beliefs_are_highest() -> None:
    """Against all distinct placements, with equal atoms in the order of their rows."""
    log_prob = np.log(np.random.default_rng(3).dirichlet(np.ones(5), size=5))
    classes = np.array([0, 0, 1, 1, 3])
    atoms = best_places(log_prob, classes)
    assert sorted(atoms.tolist()) == [0, 1, 2, 3, 4]
    best = max(log_prob[range(5), list(one)].sum() for one in set(permutations(classes.tolist())))
    assert log_prob[range(5), classes[atoms]].sum() == pytest.approx(best)
    for element in (0, 1):
        same = atoms[classes[atoms] == element]
        assert same.tolist() == sorted(same.tolist())


def test_the_network_first_hears_of_the_mean_composition() -> None:
    denoise = rows_of(Conditioning(FORMULA, (composition(1, 1, 6, 8),), "x"), [4])
    height, n_classes = denoise.network.model.scales.element, 5
    mean = height * (np.array([0.5, 0.25, 0.0, 0.25, 0.0]) - 1 / n_classes)
    assert denoise.rows.clean["element"][0].numpy() == pytest.approx(np.tile(mean, (4, 1)))
    with torch.inference_mode():
        denoise(denoise.rows.start, torch.tensor(0.0, dtype=torch.float64))
    assert sorted(denoise.rows.clean["element"][0].argmax(dim=-1).tolist()) == [0, 0, 1, 3]


def test_sizes_leave_room_for_the_rest(loaded: LoadedModel) -> None:
    plan = PLANS["fitted"]
    assert all(one.beliefs.n_atoms >= 5 for one in drawn(loaded, scaffold(), plan, n=20))
    some = drawn(loaded, scaffold(), plan, n=8, n_atoms=(3, 5))
    assert {one.beliefs.n_atoms for one in some} == {5}
    with pytest.raises(UsageError, match=r"3 atoms, which leaves nothing.*--n-atoms 4-12"):
        drawn(loaded, scaffold(), plan, n_atoms=(1, 3))


def request_of(**options: object) -> Request:
    return Request(n=1, **options)  # type: ignore[arg-type]


def test_nothing_asked_nothing_known() -> None:
    assert find_conditioning(INFO, request_of()) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formula": "C2H6S"}, ["S", "random does not know", "H, C, N, O, F"]),
        ({"formula": "C12H26"}, ["38 atoms", "up to 12"]),
        ({"formula": "C2H6Xx"}, ['unknown element "Xx"']),
        ({"formula": "CH3"}, ["odd number of electrons"]),
        ({"formula": "c6h6"}, ['"c6h6"', "C6H6O"]),
        ({"formula": "CH4", "like": "x.smi"}, ["--formula and --like exclude"]),
        ({"formula": "CH4", "n_atoms": (5, 5)}, ["--n-atoms"]),
    ],
)
def test_formulas_that_cannot_be_met(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        find_conditioning(INFO, request_of(**options))
    for word in words:
        assert word in str(caught.value)


def write(path: Path, mol: Chem.Mol) -> str:
    path.write_text(Chem.MolToMolBlock(mol) + "$$$$\n")
    return str(path)


def placed(smiles: str, *, hydrogens: bool = True, flat: bool = False) -> Chem.Mol:
    """A molecule with some coordinates, marked 3D or not."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles)) if hydrogens else Chem.MolFromSmiles(smiles)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    spread = np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3))
    conformer.SetPositions(spread * [1, 1, 0 if flat else 1])
    conformer.Set3D(not flat)
    mol.AddConformer(conformer)
    return mol


def test_files_give_compositions_round_and_round(tmp_path: Path) -> None:
    smiles = tmp_path / "some.smi"
    smiles.write_text("CCO ethanol\nN\n")
    known = find_conditioning(INFO, request_of(like=str(smiles)))
    assert known is not None
    assert [known.of(index).n_atoms for index in range(4)] == [9, 4, 9, 4]
    structure = write(tmp_path / "one.sdf", placed("CCO"))
    same = find_conditioning(INFO, request_of(like=structure))
    assert same is not None
    assert np.array_equal(same.of(7).element, known.of(0).element)
    assert np.array_equal(known.of(0).element, composition(*ETHANOL).element)


def test_requests_beyond_the_training_are_remarked_on() -> None:
    known = find_conditioning(INFO, request_of(formula="C2H6N2"))
    assert "10 atoms" in remark(INFO, known)
    assert "one noise level" in remark(INFO, scaffold())
    assert not remark(INFO, find_conditioning(INFO, request_of(formula="C2H6O")))
    assert not remark(INFO, None)


def test_files_that_do_not_serve(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.sdf", placed("CCO", hydrogens=False))
    with pytest.raises(UsageError, match=r"record 1 has no hydrogens.*AddHs"):
        find_conditioning(INFO, request_of(like=bare))
    (tmp_path / "bad.smi").write_text("CCO\nnonsense\n")
    with pytest.raises(UsageError, match="record 2: unreadable SMILES"):
        find_conditioning(INFO, request_of(like=str(tmp_path / "bad.smi")))
    with pytest.raises(UsageError, match="3D SDF"):
        find_conditioning(INFO, request_of(scaffold=str(tmp_path / "bad.smi")))
    drawing = write(tmp_path / "flat.sdf", placed("CCO", flat=True))
    with pytest.raises(UsageError, match="no 3D coordinates"):
        find_conditioning(INFO, request_of(scaffold=drawing))
    large = write(tmp_path / "large.sdf", placed("CCCC"))
    with pytest.raises(UsageError, match=r"14 atoms.*fewer than 12"):
        find_conditioning(INFO, request_of(scaffold=large))
    metal = write(tmp_path / "metal.sdf", placed("CS"))
    with pytest.raises(UsageError, match="S, which random does not know"):
        find_conditioning(INFO, request_of(scaffold=metal))


def test_a_scaffold_brings_elements_charges_and_places(tmp_path: Path) -> None:
    mol = placed("[CH2][O-]")
    known = find_conditioning(INFO, request_of(scaffold=write(tmp_path / "x.sdf", mol)))
    assert known is not None
    assert known.task.partial
    [part] = known.atoms
    assert part.element.tolist() == [1, 3, 0, 0]
    assert part.charge is not None
    assert part.charge.tolist() == [1, 0, 1, 1]
    assert part.pos is not None
    assert np.abs(part.pos - mol.GetConformer().GetPositions()).max() < 1e-4


def test_equal_knowledge_has_an_equal_digest() -> None:
    other = Conditioning(FORMULA, (composition(1, 1, 8),), "another name")
    assert other.digest == Conditioning(FORMULA, (composition(1, 1, 8),), "x").digest
    assert other.digest != Conditioning(FORMULA, (composition(1, 1, 7),), "x").digest
    assert scaffold().digest not in (
        other.digest,
        Conditioning(FORMULA, scaffold().atoms, "x").digest,
    )

"""Two sets of molecules side by side: geometries pair by pair, and distributions of shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign

from molgen.chem.constitution import constitution
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.chem.naming import name_of
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.metrics.distribution import total_variation
from molgen.metrics.ensembles import ensemble_scores
from molgen.metrics.geometry import (
    Transport,
    bond_angles,
    bond_lengths,
    radii_of_gyration,
    ring_counts,
    ring_sizes,
    transport,
    wasserstein,
)
from molgen.metrics.rate import Spread, spread_of

MAX_MATCHES = 10_000
"""Symmetry-equivalent atom mappings tried; without a bound their number explodes."""

TIME_LIMIT_S = 10.0


@dataclass(frozen=True)
class PairRmsd:
    """RMSD of one pair of geometries.

    Attributes:
        rmsd: Symmetric heavy-atom RMSD in Å; None when there is none.
        reason: Empty when there is one, else a short phrase.
    """

    rmsd: float | None
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two sets of molecules.

    Attributes:
        n: Number of pairs.
        pairs: RMSD of each pair, in order.
        n_each: Number of molecules of either set.
        rmsd: Median and mean of these, Å.
        bond_length: Wasserstein-1 distance of bond lengths by bond type, Å.
        bond_angle: Wasserstein-1 distance of angles by central element, degrees.
        ring_size_tv: Total variation between the ring sizes; None when a side has no rings.
        ring_count_tv: Between the numbers of rings per molecule.
        gyration: Wasserstein-1 distance of radii of gyration, Å; None for fewer than 20 molecules.
        ensembles: `molgen.metrics.ensembles.ensemble_scores`; None where no compound has several
            geometries.
    """

    n: int
    pairs: tuple[PairRmsd, ...]
    n_each: tuple[int, int]
    rmsd: Spread
    bond_length: Transport
    bond_angle: Transport
    ring_size_tv: float | None
    ring_count_tv: float | None
    gyration: float | None
    ensembles: dict[str, Any] | None = None

    @property
    def reasons(self) -> Counter[str]:
        """Why pairs have no RMSD."""
        return Counter(pair.reason for pair in self.pairs if pair.reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types under stable names."""
        return {
            "n": self.n,
            "n_of_each": list(self.n_each),
            "reasons": dict(self.reasons),
            "heavy_atom_rmsd": self.rmsd.to_dict(),
            "heavy_atom_rmsd_of_each": [pair.rmsd for pair in self.pairs],
            "bond_length_w1": self.bond_length.mean,
            "bond_angle_w1": self.bond_angle.mean,
            "ring_size_tv": self.ring_size_tv,
            "ring_count_tv": self.ring_count_tv,
            "gyration_w1": self.gyration,
            **({} if self.ensembles is None else {"ensembles": self.ensembles}),
        }


def heavy_atom_rmsd(pair: tuple[Molecule, Molecule]) -> PairRmsd:
    """RMSD of two geometries of one compound after the best superposition.

    Symmetry-aware: the smallest over all mappings of the heavy-atom graph onto itself, as in
    RDKit's GetBestRMS. Hydrogens are left out, since they multiply the mappings beyond use, and
    bond orders do not take part in the mapping.

    Args:
        pair: Two molecules with bonds.

    Returns:
        The RMSD, or why there is none.
    """
    built = [build_mol(molecule, int(molecule.formal_charge.sum())) for molecule in pair]
    if any(one.reason for one in built):
        return PairRmsd(None, "invalid molecule")
    difference = _difference(*(one.mol for one in built))
    if difference:
        return PairRmsd(None, difference)
    first, second = (_heavy_skeleton(one.mol) for one in built)
    if first.GetNumAtoms() == 0:
        return PairRmsd(None, "no heavy atoms")
    if first.GetNumAtoms() != second.GetNumAtoms():
        return PairRmsd(None, "different molecules")
    with rdBase.BlockLogs():
        try:
            return PairRmsd(rdMolAlign.GetBestRMS(first, second, maxMatches=MAX_MATCHES))
        except RuntimeError:
            return PairRmsd(None, "different molecules")


def _difference(mol: Chem.Mol, other: Chem.Mol) -> str:
    """Why two molecules are not the same compound; empty where they are.

    Stereo is that of the geometries; where it is not settled, it is not compared.
    """
    if constitution(mol) != constitution(other):
        return "different compounds"
    names = name_of(mol), name_of(other)
    is_settled = all(name.is_settled for name in names)
    return "different stereoisomers" if is_settled and names[0] != names[1] else ""


def compare(
    molecules: Sequence[Molecule],
    others: Sequence[Molecule],
    n_workers: int = 1,
    progress: Callable[[int], None] | None = None,
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> Comparison:
    """Compare two sets: record with record, and the two as samples of shapes.

    Args:
        molecules: Molecules with bonds.
        others: Molecules with bonds, taken as the reference of the distributions.
        n_workers: Processes for the superpositions.
        progress: Called with the number of pairs done.
        pairs: Which molecule goes with which other; None for the first with the first and so on.

    Returns:
        The comparison.
    """
    if pairs is None:
        pairs = [(row, row) for row in range(min(len(molecules), len(others)))]
    paired = [(molecules[one], others[other]) for one, other in pairs]
    answers = run_with_limit(heavy_atom_rmsd, paired, TIME_LIMIT_S, n_workers, progress)
    found = tuple(
        PairRmsd(None, answer.reason) if isinstance(answer, Unfinished) else answer
        for answer in answers
    )
    return Comparison(
        n=len(found),
        pairs=found,
        n_each=(len(molecules), len(others)),
        rmsd=spread_of(pair.rmsd for pair in found),
        bond_length=transport(bond_lengths(molecules), bond_lengths(others)),
        bond_angle=transport(bond_angles(molecules), bond_angles(others)),
        ring_size_tv=total_variation(ring_sizes(molecules), ring_sizes(others)),
        ring_count_tv=total_variation(ring_counts(molecules), ring_counts(others)),
        gyration=wasserstein(radii_of_gyration(molecules), radii_of_gyration(others)),
        ensembles=ensemble_scores(molecules, others, n_workers),
    )


def _heavy_skeleton(mol: Chem.Mol) -> Chem.Mol:
    """Heavy atoms with every bond single, so that resonance forms superpose."""
    skeleton = Chem.RWMol(Chem.RemoveAllHs(mol))
    for atom in skeleton.GetAtoms():
        atom.SetIsAromatic(False)
        atom.SetFormalCharge(0)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(0)
    for bond in skeleton.GetBonds():
        bond.SetIsAromatic(False)
        bond.SetBondType(Chem.BondType.SINGLE)
    return skeleton.GetMol()


def described(found: Comparison, other: str) -> list[str]:
    """A comparison as lines for people.

    Args:
        found: The comparison.
        other: What the second set is called.
    """
    lines = [f"heavy-atom RMSD to {other}{_rmsd_text(found)}"]
    scores = found.ensembles
    if scores is not None:
        parts = [
            f"{kind} AMR {scores[f'amr_{short}']:.3f} Å, COV {scores[f'cov_{short}@0.75']:.3f}"
            for kind, short in (("recall", "r"), ("precision", "p"))
        ]
        n, failed = round(scores["molecules"]), round(scores["failed"])
        missing = f", {failed} of them without conformers" if failed else ""
        lines.append(f"ensembles of {n} compounds{missing}, 0.75 Å: {'; '.join(parts)}")
    return lines


def _rmsd_text(found: Comparison) -> str:
    rmsd, (n, n_others) = found.rmsd, found.n_each
    why = ", ".join(f"{count} {reason}" for reason, count in found.reasons.most_common())
    said = f" ({why})" if why else ""
    if n != n_others:
        said += f"; the files have {n} and {n_others} records"
    if rmsd.median is None or rmsd.mean is None:
        return f": 0 of {found.n} pairs are the same compound{said}"
    return (
        f", Å: median {rmsd.median:.3f}, mean {rmsd.mean:.3f} over {rmsd.n} of {found.n} "
        f"pairs{said}"
    )

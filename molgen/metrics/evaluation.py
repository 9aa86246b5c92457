"""The scores of one set of molecules, under the names that tables and JSON files use."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from molgen.metrics.rate import Rate, Spread

if TYPE_CHECKING:
    from molgen.metrics.verdicts import Verdict


@dataclass(frozen=True)
class Evaluation:
    """Scores of n molecules; None where a score does not apply.

    Rates are over all n molecules (atoms: over all atoms of all molecules), with two exceptions
    that carry their own n: `unique` is over the valid ones, `novel` over the distinct valid ones.
    "Valid" there means `connected_valid`, or `perceived_valid` for molecules without bonds.

    Attributes:
        n: Number of molecules.
        connected_valid: Own graph sanitises in RDKit, is one fragment, without radicals, of the
            right total charge.
        connected_valid_raw: The same for the undecoded (argmax) molecules.
        bond_graph_atom_stable: Atoms whose bonds fit element and charge (`molgen.chem.valence`).
        bond_graph_stable: Molecules whose atoms all do.
        bond_graph_stable_raw: The same for the undecoded molecules.
        perceived_valid: Valid by the coordinates alone (`molgen.metrics.perception`).
        perceived_valid_raw: The same with the elements of the undecoded molecules.
        graphs_agree: Own graph equals the perceived one (`molgen.metrics.agreement`).
        edm_atom_stable: Atoms stable by the distance table (`molgen.metrics.edm`).
        edm_stable: Molecules stable by the distance table.
        edm_stable_raw: The same with the elements of the undecoded molecules.
        edm_valid: Largest fragment of the distance-table molecule sanitises.
        edm_valid_unique: Distinct such molecules over all n (the literature's "V×U").
        rmsd_to_mmff: RMSD over all atoms to the MMFF94s minimum, Å.
        heavy_rmsd_to_mmff: The same over heavy atoms, Å.
        mmff_energy_drop: Strain: MMFF94s energy released by relaxing, kcal/mol.
        xtb_energy_drop: Strain: GFN2-xTB energy released by relaxing, kcal/mol
            (`molgen.metrics.xtb`). This and the next six are over the molecules that were taken.
        rmsd_to_xtb: RMSD over all atoms to the GFN2-xTB minimum, Å.
        heavy_rmsd_to_xtb: The same over heavy atoms, Å.
        xtb_length_change: Mean absolute change of a molecule's bond lengths on the way there, Å.
        xtb_angle_change: The same of its angles, degrees.
        xtb_torsion_change: The same of its torsions, degrees.
        xtb_graph_kept: Atoms near enough to be bonded at the minimum are those of the own graph.
        unique: Distinct constitutions over the valid molecules.
        novel: Distinct constitutions that the reference's training set lacks.
        atom_count_tv: Total variation between atom counts and the reference's.
        element_tv: Total variation between element fractions and the reference's.
        rings: Mean number of rings per molecule, by its own bonds (a smallest set of rings).
        triangles: Mean number of those with three atoms.
        gyration: Mean radius of gyration, Å (`molgen.metrics.geometry.radii_of_gyration`).
        diversity: Mean Tanimoto distance of distinct valid molecules, the first 1,000
            (`molgen.metrics.distribution.diversity`).
        weight: Molecular weight. This and the next four are None where the checks that measure
            them (`molgen.chem.checks`) were not asked.
        logp: Crippen's logP.
        qed: Drug-likeness, 0 to 1.
        sa_score: Synthetic accessibility, 1 is easy, 10 is hard.
        alert_free: No strained or unstable group (`molgen.chem.checks.alerts`).
        invalid_reasons: Number of molecules by reason why their own graph is not valid.
        perception_reasons: Number of molecules by reason why their coordinates are not valid.
        relax_reasons: Number of molecules by reason why they were not relaxed.
        xtb_reasons: The same for GFN2-xTB.
        posebusters: Every check of PoseBusters is passed (`molgen.metrics.posebusters`); None where
            it was not asked.
        posebusters_reasons: Number of molecules by check that they fail; one may fail several.
        not_judged: Number of records, beside the n, by reason why no check applies to them.
        relaxed_before: Number of records by how a force field had relaxed them before they were
            written; their geometries are not a model's.
        records: The verdict on each record of a file (`molgen.metrics.verdicts.Verdict`), those
            that are not judged among them.
    """

    n: int
    connected_valid: Rate | None
    connected_valid_raw: Rate | None
    bond_graph_atom_stable: Rate | None
    bond_graph_stable: Rate | None
    bond_graph_stable_raw: Rate | None
    perceived_valid: Rate
    perceived_valid_raw: Rate | None
    graphs_agree: Rate | None
    edm_atom_stable: Rate
    edm_stable: Rate
    edm_stable_raw: Rate | None
    edm_valid: Rate
    edm_valid_unique: Rate
    rmsd_to_mmff: Spread | None
    heavy_rmsd_to_mmff: Spread | None
    mmff_energy_drop: Spread | None
    xtb_energy_drop: Spread | None
    rmsd_to_xtb: Spread | None
    heavy_rmsd_to_xtb: Spread | None
    xtb_length_change: Spread | None
    xtb_angle_change: Spread | None
    xtb_torsion_change: Spread | None
    xtb_graph_kept: Rate | None
    unique: Rate
    novel: Rate | None
    atom_count_tv: float | None
    element_tv: float | None
    rings: float | None
    triangles: float | None
    gyration: float | None
    diversity: float | None
    weight: Spread | None
    logp: Spread | None
    qed: Spread | None
    sa_score: Spread | None
    alert_free: Rate | None
    invalid_reasons: dict[str, int]
    perception_reasons: dict[str, int]
    relax_reasons: dict[str, int]
    xtb_reasons: dict[str, int]
    posebusters: Rate | None = None
    posebusters_reasons: dict[str, int] = field(default_factory=dict)
    not_judged: dict[str, int] = field(default_factory=dict)
    relaxed_before: dict[str, int] = field(default_factory=dict)
    records: tuple[Verdict, ...] = field(default=(), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types under the attributes' names; None for what does not apply."""
        kept = (one.name for one in fields(self) if one.name != "records")
        return {name: _plain(getattr(self, name)) for name in kept}


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, Rate | Spread) else value

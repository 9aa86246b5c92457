"""What became of one molecule: an RDKit molecule with conformers, or a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molgen.chem.conformers.finishing import Finished
from molgen.chem.conformers.placing import conformer_at, rmsd
from molgen.chem.conformers.query import Query, Refused
from molgen.chem.workers import Unfinished

STATUS: Final = "molgen_status"
REASON: Final = "molgen_reason"

NETWORK: Final = "network"
ETKDG: Final = "etkdg"


@dataclass(frozen=True)
class ConformerResult:
    """What became of one molecule.

    Attributes:
        mol: With hydrogens and conformers; None where there are none. Properties of a conformer:
            ``energy``, ``relative_energy`` (kcal/mol), ``boltzmann_weight``, ``moved`` (RMSD to the
            geometry that was refined, Å), ``stereo`` (``right``
            or ``wrong``), ``source`` (``network`` or ``etkdg``), and with
            a core ``core`` (``kept`` or ``strained``).
        reason: Why there are none, or what else there is to say; may be empty.
        wrong: Conformers whose stereo is wrong after all redraws, ``[K]``; None without any.
        redrawn: Conformers that were drawn more than once.
        n_etkdg: Conformers that ETKDGv3 made.
        method: What says the energies; empty for nothing.
        given: The input, where it is a molecule.
    """

    mol: Chem.Mol | None
    reason: str = ""
    wrong: NDArray[np.bool_] | None = None
    redrawn: int = 0
    n_etkdg: int = 0
    method: str = ""
    given: Chem.Mol | None = None

    @property
    def status(self) -> str:
        """``ok``, ``stereo_wrong`` or ``failed``."""
        if self.mol is None or self.wrong is None:
            return "failed"
        return "stereo_wrong" if self.wrong.any() else "ok"

    @property
    def as_mol(self) -> Chem.Mol:
        """The molecule with its status and reason as properties, without conformers if it failed.

        They are ``molgen_status`` and ``molgen_reason``.
        """
        mol = Chem.Mol(self.mol or self.given or Chem.Mol())
        if self.mol is None:
            mol.RemoveAllConformers()
        mol.SetProp(STATUS, self.status)
        mol.SetProp(REASON, self.reason)
        return mol


def result_of(
    given: Chem.Mol | str | Refused,
    asked: Query | Refused,
    answer: Finished | Unfinished | None,
    redrawn: int,
    start: NDArray[np.floating] | None = None,
) -> ConformerResult:
    """The result of one molecule.

    Args:
        given: The input.
        asked: The molecule, or why the network makes no conformers of it.
        answer: What was made of it; None for a molecule that was not tried.
        redrawn: Conformers that were drawn more than once.
        start: Heavy atoms of what was refined, Å, ``[K, N, 3]``; None for other conformers.
    """
    whole = given if isinstance(given, Chem.Mol) else None
    refusal = asked.reason if isinstance(asked, Refused) else ""
    made = asked.query if isinstance(asked, Refused) else asked
    if answer is None or made is None:
        return ConformerResult(None, refusal, given=whole)
    if isinstance(answer, Unfinished):
        return ConformerResult(None, _joined(refusal, answer.reason), given=whole)
    if not len(answer.pos):
        reason = _joined(refusal, "ETKDGv3 cannot embed it")
        return ConformerResult(None, reason, given=whole)
    return ConformerResult(
        mol=_with_conformers(made, answer, start),
        reason=_joined(refusal, *answer.notes),
        wrong=answer.wrong,
        redrawn=redrawn,
        n_etkdg=int(answer.by_etkdg.sum()),
        method=answer.method,
        given=whole,
    )


def _with_conformers(
    asked: Query, answer: Finished, start: NDArray[np.floating] | None
) -> Chem.Mol:
    mol = Chem.Mol(asked.mol)
    moved = None if start is None else rmsd(answer.pos[:, asked.graph.index], start)
    for place, pos in enumerate(answer.pos):
        conformer = conformer_at(pos)
        if np.isfinite(answer.energy[place]):
            energy = float(answer.energy[place])
            conformer.SetDoubleProp("energy", energy)
            conformer.SetDoubleProp("relative_energy", energy - float(np.nanmin(answer.energy)))
        if np.isfinite(answer.weight[place]):
            conformer.SetDoubleProp("boltzmann_weight", float(answer.weight[place]))
        if moved is not None:
            conformer.SetDoubleProp("moved", float(moved[place]))
        conformer.SetProp("stereo", "wrong" if answer.wrong[place] else "right")
        if asked.core is not None:
            conformer.SetProp("core", "strained" if answer.strained[place] else "kept")
        conformer.SetProp("source", ETKDG if answer.by_etkdg[place] else NETWORK)
        mol.AddConformer(conformer, assignId=True)
    return mol


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)

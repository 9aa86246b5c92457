"""What molecules are compared with: a data set by name, or a file of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rdkit

from molgen.chem.checks.table import columns_of
from molgen.chem.read import SUFFIXES
from molgen.config.evaluation import EvaluationConfig
from molgen.data.reference import Reference, hash_of, load_reference
from molgen.metrics.ceiling import Ceiling, load_ceiling, quantiles
from molgen.metrics.distribution import atom_counts, element_counts
from molgen.metrics.files import evaluate_records, read_all
from molgen.metrics.inspection import Progress
from molgen.metrics.verdicts import Verdict


@dataclass(frozen=True)
class Real:
    """Real molecules.

    Attributes:
        reference: Which molecules there are, how large, of which elements.
        ceiling: Their own scores; None where nobody measured them.
    """

    reference: Reference
    ceiling: Ceiling | None


def load_real(
    name: str,
    config: EvaluationConfig,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> Real:
    """Real molecules to compare with: a data set by name, or a file of them.

    Args:
        name: Of a data set, the folder of a store, or a file of molecules, which is judged by the
            same checks.
        config: What is checked.
        n_workers: Processes; None for one per core.
        progress: Called as the slow checks advance.

    Raises:
        DataError: There is no reference of this name, or the file cannot be read.
    """
    if not name.lower().removesuffix(".gz").endswith(SUFFIXES):
        return Real(load_reference(name), load_ceiling(name))
    records = read_all(name, config)
    found = evaluate_records(
        records, None, config, name=name, n_workers=n_workers, progress=progress
    )
    molecules = [one.molecule for one in found.records if one.molecule is not None]
    reference = Reference(
        name=name,
        hashes=np.unique([hash_of(one.smiles) for one in found.records if one.smiles]),
        atom_counts=atom_counts(molecules),
        element_counts=element_counts(molecules),
        rdkit=rdkit.__version__,
    )
    scores = {key: value for key, value in found.to_dict().items() if value is not None}
    columns = {column: _numbers(found.records, column) for column in columns_of(config.checks)}
    return Real(reference, Ceiling(Path(name).name, "", scores, None, columns))


def _numbers(records: Sequence[Verdict], column: str) -> list[float]:
    """Quantiles of a measured column."""
    values = [one.measured.get(column) for one in records]
    return quantiles([one for one in values if isinstance(one, int | float)])

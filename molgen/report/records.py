"""Records of a file, written with their verdict."""

from __future__ import annotations

from collections.abc import Sequence

from molgen.chem.read import Record
from molgen.chem.write import open_writer
from molgen.metrics.verdicts import Verdict, judged_records
from molgen.sampling.destination import Destination


def write_judged(
    target: Destination, records: Sequence[Record], judged: Sequence[Verdict], keep: str
) -> tuple[int, int]:
    """Write records with their verdict and what was measured as tags.

    Args:
        target: Where to.
        records: All of them.
        judged: The verdict on each.
        keep: ``all``, ``pass`` or ``fail``.

    Returns:
        How many were written, and how many have no molecule to write.

    Raises:
        OutputError: The file cannot be written.
    """
    n = n_left = 0
    with open_writer(target.partial) as writer:
        for one, mol, tags in judged_records(records, judged):
            if keep != "all" and (not one.is_judged or one.valid != (keep == "pass")):
                continue
            if mol is None:
                n_left += 1
                continue
            writer.write(mol, one.title or f"record-{one.index + 1}", tags)
            n += 1
    target.finish()
    return n, n_left

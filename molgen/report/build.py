"""The page: one HTML file that opens offline and asks for nothing."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from rdkit import Chem, rdBase

import molgen
from molgen.chem.mol import build_mol, smiles_of
from molgen.chem.read import Record
from molgen.metrics.ceiling import Ceiling
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.table import side_by_side, summary_rows
from molgen.metrics.verdicts import Verdict
from molgen.report.columns import columns_of, drawing
from molgen.report.plots import calls_of, distributions, rates_by_calls


def report(
    records: Sequence[Record], found: Mapping[str, Evaluation], ceiling: Ceiling | None = None
) -> str:
    """The page of one file or several.

    Args:
        records: All of them, in the order of the files.
        found: The evaluation of each file, with its verdicts.
        ceiling: Real molecules, to stand beside.
    """
    verdicts = [one for each in found.values() for one in each.records]
    drawings: dict[str, int] = {}
    rows = [
        {"index": row, **_row(*both, drawings)}
        for row, both in enumerate(zip(records, verdicts, strict=True))
    ]
    measured = {name for one in verdicts for name in one.measured}
    columns = columns_of(measured, several=len(found) > 1)
    heads, summary = _summary(found, ceiling)
    n_passed = sum(one.valid for one in verdicts)
    plots = [rates_by_calls(found, _calls(records, found)), *distributions(found, ceiling)]
    data = {
        "columns": [asdict(one) for one in columns],
        "records": rows,
        "drawings": list(drawings),
    }
    page = jinja2.Environment(autoescape=True).from_string(_part("page.html"))
    return page.render(
        title=", ".join(found),
        subtitle=f"{n_passed} of {len(rows)} records pass every check",
        n=len(rows),
        summary_heads=heads,
        summary=summary,
        side_by_side=len(found) > 1,
        legend=[Path(name).name for name in found] if len(found) > 1 else [],
        plots=[one for one in plots if one is not None],
        columns=columns,
        made_by=f"Made by molgen {molgen.__version__}; 3D by 3Dmol.js (BSD-3-Clause).",
        css=_part("page.css"),
        script=_part("page.js"),
        viewer=_part("3Dmol-min.js"),
        data=_packed(json.dumps(data, separators=(",", ":"), allow_nan=False)),
    )


def _summary(
    found: Mapping[str, Evaluation], ceiling: Ceiling | None
) -> tuple[list[str], list[list[str]]]:
    if len(found) > 1:
        return side_by_side({Path(name).name: one for name, one in found.items()}, ceiling)
    (only,) = found.values()
    return summary_rows(only, ceiling)


def _calls(records: Sequence[Record], found: Mapping[str, Evaluation]) -> dict[str, int]:
    """Network calls by file, where its records name them."""
    calls: dict[str, int] = {}
    first = 0
    for name, one in found.items():
        last = first + len(one.records)
        n_calls = calls_of(record.tags for record in records[first:last])
        calls |= {} if n_calls is None else {name: n_calls}
        first = last
    return calls


def _row(record: Record, verdict: Verdict, drawings: dict[str, int]) -> dict[str, Any]:
    """What the page knows of a record; drawings are shared by records of one molecule."""
    reason = verdict.reason
    mol = record.mol
    if mol is None and (molecule := verdict.molecule or record.molecule) and molecule.n_atoms:
        mol = build_mol(molecule).mol
    picture = None
    if mol is not None and verdict.smiles and (made := drawing(mol)):
        picture = drawings.setdefault(made, len(drawings))
    words = (record.title, verdict.smiles, verdict.formula, reason, verdict.file)
    return {
        "file": Path(verdict.file).name,
        "title": record.title,
        "pass": verdict.valid,
        "verdict": reason,
        "judged": verdict.is_judged,
        "formula": verdict.formula,
        "smiles": (smiles_of(mol) if mol is not None else "") or verdict.smiles,
        **verdict.measured,
        "search": " ".join((*words, str(verdict.measured.get("alert_names", "")))).lower(),
        "block": "" if mol is None else _block(mol),
        "drawing": picture,
    }


def _block(mol: Chem.Mol) -> str:
    """The geometry, as the viewer reads it; empty where there is none."""
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToMolBlock(mol, kekulize=False))
        except (ValueError, RuntimeError):
            return ""


def _packed(text: str) -> str:
    """Text as the page unpacks it: a sixth as long, and nothing in it can end a script."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _part(name: str) -> str:
    return (files("molgen") / "report" / "page" / name).read_text(encoding="utf-8")

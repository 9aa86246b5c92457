"""The page: one HTML file that opens offline and asks for nothing."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Final

import jinja2
import numpy as np
from rdkit import Chem, rdBase

import molgen
from molgen.chem.io import Record
from molgen.metrics.ceiling import Ceiling
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.table import summary_rows
from molgen.metrics.verdicts import Verdict
from molgen.report.columns import COLUMNS, drawing, properties

BINS: Final = 20

PLOTS: Final = {
    "heavy": "heavy atoms",
    "weight": "molecular weight",
    "logp": "logP (Crippen)",
    "qed": "QED, drug-likeness",
    "sa": "SA, 1 is easy to make",
    "rings": "rings",
}


@dataclass(frozen=True)
class Plot:
    """A histogram.

    Attributes:
        name: What it is of.
        svg: The drawing.
    """

    name: str
    svg: str


def report(
    name: str,
    records: Sequence[Record],
    verdicts: Sequence[Verdict],
    evaluation: Evaluation,
    ceiling: Ceiling | None = None,
) -> str:
    """The page of a file.

    Args:
        name: Of the file.
        records: All of them.
        verdicts: On each.
        evaluation: Of all.
        ceiling: Real molecules, for two more columns.
    """
    drawings: dict[str, int] = {}
    rows = [_row(*both, drawings) for both in zip(records, verdicts, strict=True)]
    heads, summary = summary_rows(evaluation, ceiling)
    n_passed = sum(one.valid for one in verdicts)
    data = {
        "columns": [asdict(one) for one in COLUMNS],
        "records": rows,
        "drawings": list(drawings),
    }
    page = jinja2.Environment(autoescape=True).from_string(_part("page.html"))
    return page.render(
        title=name,
        subtitle=f"{n_passed} of {len(rows)} records pass every check of bonds and coordinates",
        n=evaluation.n,
        summary_heads=heads,
        summary=summary,
        plots=list(_plots(rows)),
        columns=COLUMNS,
        made_by=f"Made by molgen {molgen.__version__}; 3D by 3Dmol.js (BSD-3-Clause).",
        css=_part("page.css"),
        script=_part("page.js"),
        viewer=_part("3Dmol-min.js"),
        data=_packed(json.dumps(data, separators=(",", ":"), allow_nan=False)),
    )


def _row(record: Record, verdict: Verdict, drawings: dict[str, int]) -> dict[str, Any]:
    """What the page knows of a record; drawings are shared by records of one molecule."""
    reason = verdict.reason
    mol = record.mol if record.mol is not None and not verdict.bond_graph else None
    picture = None
    if mol is not None and (made := drawing(mol)):
        picture = drawings.setdefault(made, len(drawings))
    words = (record.title, verdict.smiles, verdict.formula, reason)
    return {
        "index": record.index,
        "title": record.title,
        "pass": verdict.valid,
        "verdict": reason,
        "judged": verdict.is_judged,
        "formula": verdict.formula,
        "smiles": verdict.smiles,
        **properties(mol),
        "search": " ".join(words).lower(),
        "block": _block(record),
        "drawing": picture,
    }


def _block(record: Record) -> str:
    """The geometry, as the viewer reads it; empty where there is none."""
    if record.mol is None:
        return "" if record.molecule is None else _bare_block(record)
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToMolBlock(record.mol, kekulize=False))
        except (ValueError, RuntimeError):
            return ""


def _bare_block(record: Record) -> str:
    from molgen.chem.mol import build_mol  # noqa: PLC0415 - of files without bonds

    if record.molecule is None or not record.molecule.n_atoms:
        return ""
    return str(Chem.MolToMolBlock(build_mol(record.molecule).mol, kekulize=False))


def _plots(rows: Iterable[dict[str, Any]]) -> Iterable[Plot]:
    known = list(rows)
    for name, label in PLOTS.items():
        values = np.array([row[name] for row in known if row[name] is not None], np.float64)
        if len(values):
            yield Plot(f"{label}: median {np.median(values):.3g}, n = {len(values)}", _bars(values))


def _bars(values: np.ndarray) -> str:
    """A histogram as SVG."""
    low, high = float(values.min()), float(values.max())
    whole = bool((values == np.round(values)).all())
    n_bins = int(high - low) + 1 if whole and high - low < BINS else BINS
    edges = (low - 0.5, high + 0.5) if whole else (low, max(high, low + 1e-9))
    counts, _ = np.histogram(values, bins=n_bins, range=edges)
    width, tall = 200 / n_bins, counts / counts.max() * 90
    bars = "".join(
        f'<rect x="{5 + k * width:.1f}" y="{95 - height:.1f}" width="{max(width - 1, 0.5):.1f}" '
        f'height="{height:.1f}"><title>{count}</title></rect>'
        for k, (height, count) in enumerate(zip(tall.tolist(), counts.tolist(), strict=True))
    )
    ends = (
        f'<text x="5" y="107">{low:.3g}</text>'
        f'<text x="205" y="107" text-anchor="end">{high:.3g}</text>'
    )
    return f'<svg viewBox="0 0 210 110" role="img" width="100%">{bars}{ends}</svg>'


def _packed(text: str) -> str:
    """Text as the page unpacks it: a sixth as long, and nothing in it can end a script."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _part(name: str) -> str:
    return (files("molgen") / "report" / "page" / name).read_text(encoding="utf-8")

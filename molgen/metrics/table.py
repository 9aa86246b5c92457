"""An evaluation as a plain-text table beside the same scores of real molecules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from molgen.metrics.ceiling import Ceiling, Scores
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.perception import Criterion

DETERMINE_BONDS: Final = "RDKit DetermineBonds, own charges"
ABSENT: Final = "n/a"
GIVEN: Final = "given"
N_REASONS: Final = 4  # the most frequent reasons; the JSON has all


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: Attribute of `Evaluation`.
        label: What the reader sees.
        convention: Who decides, and how.
    """

    name: str
    label: str
    convention: str


ROWS: Final = (
    Row("connected_valid", "connected validity", "own bonds: sanitised, one fragment"),
    Row("connected_valid_raw", "  before decoding", "the same, argmax of the network's output"),
    Row("bond_graph_stable", "bond-graph stability", "own bonds: atoms fit element and charge"),
    Row("bond_graph_stable_raw", "  before decoding", "the same, argmax of the network's output"),
    Row("bond_graph_atom_stable", "  atoms", "the same, over atoms"),
    Row("perceived_valid", "validity from coordinates", DETERMINE_BONDS),
    Row("perceived_valid_raw", "  before decoding", "the same, elements by argmax"),
    Row("graphs_agree", "agreement of the graphs", "own bonds = perceived bonds, without stereo"),
    Row("edm_stable", "distance-table stability", "EDM table, every atom has its valence"),
    Row("edm_stable_raw", "  before decoding", "the same, elements by argmax"),
    Row("edm_atom_stable", "  atoms", "the same, over atoms"),
    Row("edm_valid", "distance-table validity", "EDM table, largest fragment sanitises in RDKit"),
    Row("edm_valid_unique", "  and distinct", "the same, distinct over all"),
    Row("rmsd_to_mmff", "RMSD to minimum, Å", "median, all atoms, nearest MMFF94s minimum"),
    Row("heavy_rmsd_to_mmff", "  heavy atoms, Å", "median, the same"),
    Row("mmff_energy_drop", "strain, kcal/mol", "median, MMFF94s energy above that minimum"),
    Row("unique", "uniqueness", "distinct / valid, SMILES without stereo"),
    Row("novel", "novelty", "distinct not in the training set"),
    Row("atom_count_tv", "atom counts, TV", "total variation from the training set, 0 is equal"),
    Row("element_tv", "elements, TV", "the same, fractions of the elements"),
    Row("rings", "rings per molecule", "mean, smallest set of rings of the own bonds"),
    Row("triangles", "  of three atoms", "mean, the same"),
    Row("gyration", "radius of gyration, Å", "mean, atoms from their mean, all alike"),
    Row("diversity", "diversity", "mean Tanimoto distance, Morgan fingerprints, first 1,000"),
)
"""Every line of the table, in order."""

MEASURED: Final = (
    Row("alert_free", "without alerts", "no strained or unstable group by molgen's list"),
    Row("weight", "weight", "median"),
    Row("logp", "logP", "median, Crippen"),
    Row("qed", "QED", "median, drug-likeness from 0 to 1"),
    Row("sa_score", "SA", "median, 1 is easy to make, 10 is not"),
)
"""What follows where the checks of properties and alerts were made."""

XTB_ROWS: Final = (
    Row("xtb_energy_drop", "xTB strain, kcal/mol", "median, GFN2-xTB energy above its minimum"),
    Row("rmsd_to_xtb", "  RMSD to minimum, Å", "median, all atoms, nearest GFN2-xTB minimum"),
    Row("heavy_rmsd_to_xtb", "  heavy atoms, Å", "median, the same"),
    Row("xtb_length_change", "  bond lengths, Å", "median, a molecule's mean change on the way"),
    Row("xtb_angle_change", "  angles, °", "the same"),
    Row("xtb_torsion_change", "  torsions, °", "the same"),
    Row("xtb_graph_kept", "  own bonds kept", "atoms near enough to be bonded there = own bonds"),
)
"""What follows where molecules were relaxed in GFN2-xTB."""

POSEBUSTERS: Final = Row("posebusters", "PoseBusters", "every check of the molecule by itself")

ASKED: Final = (*MEASURED, POSEBUSTERS, *XTB_ROWS)
"""What is shown where it was asked for."""

COMPOSITION: Final = frozenset({"atom_count_tv", "element_tv"})
"""Scores that say nothing of a model where compositions are given."""


def render(
    evaluation: Evaluation,
    ceiling: Ceiling | None = None,
    given: Collection[str] = (),
    criterion: Criterion | None = None,
) -> str:
    """The evaluation as text, about 115 columns wide.

    Args:
        evaluation: What to print; scores that do not apply are left out or marked.
        ceiling: Scores of real molecules, for two more columns.
        given: Scores that the caller decided beforehand, marked as such.
        criterion: How coordinates were judged; None for each molecule's own charges.

    Returns:
        Lines joined by newlines, without one at the end.
    """
    scores = evaluation.to_dict()
    header = [f"n = {evaluation.n}", "value", "95 % interval"]
    if ceiling is not None:
        header += ceiling.columns
    lines = [_line([*header, "convention"])]
    marks = dict.fromkeys(given, GIVEN)
    shown = [row for row in ROWS if _shown(row, scores)]
    is_special = criterion is not None and criterion != Criterion()
    if is_special:
        shown = [
            replace(row, convention="RDKit DetermineBonds, see below")
            if row.name == "perceived_valid"
            else row
            for row in shown
        ]
    shown += [row for row in ASKED if scores[row.name] is not None]
    lines += [_line(_cells(row, scores, ceiling, marks)) for row in shown]
    if criterion is not None and is_special:
        lines.append(_criterion_line(criterion, ceiling))
    lines += [f"{count} {reason}" for reason, count in evaluation.not_judged.items()]
    lines += _reason_lines("own bonds invalid", evaluation.invalid_reasons)
    lines += _reason_lines("coordinates invalid", evaluation.perception_reasons)
    lines += _reason_lines("PoseBusters' checks failed", evaluation.posebusters_reasons)
    lines += _reason_lines("not relaxed", evaluation.relax_reasons)
    lines += _reason_lines("not relaxed in GFN2-xTB", evaluation.xtb_reasons)
    lines += [
        f"relaxed before: {count} of {evaluation.n} by {how}; their geometries are the force "
        "field's, not a model's"
        for how, count in evaluation.relaxed_before.items()
    ]
    if evaluation.xtb_graph_kept is not None:
        lines.append(f"xTB: the first {evaluation.xtb_graph_kept.n} molecules, GFN2-xTB")
    if ceiling is not None:
        lines.append(ceiling.sets)
    return "\n".join(lines)


def render_side_by_side(
    evaluations: Mapping[str, Evaluation], ceiling: Ceiling | None = None
) -> str:
    """Several evaluations as text: a column of values for each, beside real molecules.

    Args:
        evaluations: By the name of their file.
        ceiling: Scores of real molecules, for more columns.

    Returns:
        Lines joined by newlines, without one at the end.
    """
    heads, rows = side_by_side(evaluations, ceiling)
    heads[0] = ""
    cells = [heads, *rows]
    widths = [max(10, 2 + max(map(len, column))) for column in zip(*cells, strict=True)][1:]
    lines = [f"{first:<26}" + "".join(map("{:>{}}".format, rest, widths)) for first, *rest in cells]
    lines += [
        f"{name}: {count} {reason}"
        for name, one in evaluations.items()
        for reason, count in one.not_judged.items()
    ]
    return "\n".join(lines if ceiling is None else [*lines, ceiling.sets])


def side_by_side(
    evaluations: Mapping[str, Evaluation], ceiling: Ceiling | None = None
) -> tuple[list[str], list[list[str]]]:
    """The same as cells: heads, and a row per score that applies to any of them."""
    columns = {name: one.to_dict() for name, one in evaluations.items()}
    columns |= {} if ceiling is None else ceiling.columns
    counts = ["n", *(str(scores["n"]) for scores in columns.values())]
    rows = [
        [row.label, *(_value(scores.get(row.name)) for scores in columns.values())]
        for row in (*ROWS, *ASKED)
        if any(columns[name].get(row.name) is not None for name in evaluations)
    ]
    return ["score", *columns], [counts, *rows]


def summary_rows(
    evaluation: Evaluation, ceiling: Ceiling | None = None
) -> tuple[list[str], list[list[str]]]:
    """The same as cells: heads, and a row per score that applies."""
    scores = evaluation.to_dict()
    heads = ["score", "value", "95 % interval"]
    if ceiling is not None:
        heads += ceiling.columns
    rows = [row for row in (*ROWS, *ASKED) if scores[row.name] is not None]
    return [*heads, "convention"], [_cells(row, scores, ceiling, {}) for row in rows]


def _criterion_line(criterion: Criterion, ceiling: Ceiling | None) -> str:
    charge = "each record's own charge"
    if criterion.total_charge is not None:
        charge = f"charge {criterion.total_charge:+d}" if criterion.total_charge else "charge 0"
    groups = "charged groups allowed" if criterion.charged_atoms else "charged groups as recorded"
    beside = ""
    if ceiling is not None and ceiling.kept is not None:
        beside = f"; columns of {ceiling.name}: charge 0 without these"
    return f"validity from coordinates: {charge}, {groups}{beside}"


def _cells(
    row: Row, scores: Scores, ceiling: Ceiling | None, marks: Mapping[str, str]
) -> list[str]:
    score = scores[row.name]
    cells = [row.label, marks.get(row.name, _value(score)), _interval(score)]
    if ceiling is not None:
        cells += [_value(scores.get(row.name)) for scores in ceiling.columns.values()]
    return [*cells, row.convention]


def _line(cells: list[str]) -> str:
    label, value, interval, *ceilings, convention = cells
    numbers = "".join(f"{cell:>10}" for cell in ceilings)
    return f"{label:<26}{value:>8}  {interval:>13}{numbers}   {convention}"


def _shown(row: Row, scores: Scores) -> bool:
    """Undecoded scores are a line only where there are some; everything else always is."""
    return scores[row.name] is not None or not row.name.endswith("_raw")


def _value(score: Any) -> str:
    if isinstance(score, dict):
        score = score.get("value", score.get("median"))
    return ABSENT if score is None else f"{score:.3f}"


def _interval(score: Any) -> str:
    if not isinstance(score, dict):
        return ""
    if "low" in score:
        return f"{score['low']:.3f}–{score['high']:.3f}"
    return f"n = {score['n']}"


def _reason_lines(title: str, reasons: dict[str, int]) -> list[str]:
    if not reasons:
        return []
    shown = [f"{count} {reason}" for reason, count in list(reasons.items())[:N_REASONS]]
    n_more = sum(list(reasons.values())[N_REASONS:])
    return [f"{title}: " + ", ".join(shown + ([f"{n_more} for other reasons"] if n_more else []))]

"""Plots of a report as SVG: distributions, and rates against the number of network calls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np

from molgen.metrics.ceiling import Ceiling
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.rate import Rate
from molgen.metrics.verdicts import Verdict

BINS: Final = 20
WIDTH, HEIGHT = 200, 90
LEFT, TOP = 5, 5

DISTRIBUTIONS: Final = {
    "heavy_atoms": "heavy atoms",
    "weight": "molecular weight",
    "logp": "logP (Crippen)",
    "qed": "QED, drug-likeness",
    "sa_score": "SA, 1 is easy to make",
    "rings": "rings",
}

RATES: Final = {
    "connected_valid": "connected validity",
    "perceived_valid": "valid from coordinates",
    "graphs_agree": "both agree",
    "posebusters": "PoseBusters",
}

CALLS: Final = ("molgen_network_calls", "molgen_steps")
"""Data fields that say with how many network calls a molecule was made."""


@dataclass(frozen=True)
class Plot:
    """A drawing and its caption.

    Attributes:
        name: What it shows.
        svg: The drawing.
    """

    name: str
    svg: str


def distributions(found: Mapping[str, Evaluation], ceiling: Ceiling | None) -> Iterable[Plot]:
    """A histogram of each measured column: a line per file, grey and dashed for real molecules."""
    for column, label in DISTRIBUTIONS.items():
        sets = {name: _values(one.records, column) for name, one in found.items()}
        sets = {name: values for name, values in sets.items() if len(values)}
        if not sets:
            continue
        real = np.array(() if ceiling is None else ceiling.distributions.get(column, ()), float)
        middles = ", ".join(f"{np.median(values):.3g}" for values in sets.values())
        caption = f"{label}: median {middles}"
        if len(real) and ceiling is not None:
            caption += f"; {ceiling.name} {np.median(real):.3g}, dashed"
        yield Plot(caption, _histograms(sets, real))


def rates_by_calls(found: Mapping[str, Evaluation], calls: Mapping[str, int]) -> Plot | None:
    """Rates over the number of network calls; None for fewer than two numbers.

    Args:
        found: Evaluations by file.
        calls: The number of network calls of each file that has one.
    """
    names = sorted(calls, key=lambda name: calls[name])
    ticks = sorted(set(calls.values()))
    if len(ticks) < 2:
        return None
    places = {tick: LEFT + 30 + k * (WIDTH - 40) / (len(ticks) - 1) for k, tick in enumerate(ticks)}
    rates = {
        label: [
            (places[calls[name]], one.value)
            for name in names
            if isinstance(one := getattr(found[name], attribute), Rate) and one.n
        ]
        for attribute, label in RATES.items()
    }
    least = min((value for points in rates.values() for _, value in points), default=0.0)
    low = math.floor(least * 10 - 1e-9) / 10

    def height(share: float) -> float:
        return TOP + (1 - share) / max(1 - low, 0.1) * HEIGHT

    drawn = []
    for kind, (label, points) in enumerate(rates.items()):
        if points:
            line = _line([(x, height(value)) for x, value in points], kind)
            x, y = points[-1][0] + 4, height(points[-1][1]) + 3
            drawn += [f"<g>{line}<title>{label}</title></g>", f'<text x="{x:.1f}" y="{y:.1f}">']
            drawn.append(f"{kind + 1}</text>")
    drawn += [
        f'<text x="{x:.1f}" y="{TOP + HEIGHT + 12}" text-anchor="middle">{tick}</text>'
        for tick, x in places.items()
    ]
    drawn += [
        f'<text x="{LEFT + 20}" y="{height(share) + 3:.1f}" text-anchor="end">{share:.2g}</text>'
        for share in (low, (1 + low) / 2, 1)
    ]
    names_of = ", ".join(
        f"{kind + 1} {label}" for kind, (label, points) in enumerate(rates.items()) if points
    )
    return Plot(f"rates over network calls: {names_of}", _svg("".join(drawn)))


def calls_of(tags: Iterable[Mapping[str, str]]) -> int | None:
    """The number of network calls that every record names; None where they name none or differ."""
    told = {next((one[name] for name in CALLS if name in one), "") for one in tags}
    (first, *others) = told or {""}
    return int(first) if not others and first.isdigit() else None


def _values(records: Sequence[Verdict], column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = (one.measured.get(column) for one in records)
    return np.array([one for one in values if isinstance(one, int | float)], np.float64)


def _histograms(sets: Mapping[str, np.ndarray], real: np.ndarray) -> str:
    together = np.concatenate([*sets.values(), real])
    low, high = float(together.min()), float(together.max())
    whole = bool((together == np.round(together)).all())
    n_bins = int(high - low) + 1 if whole and high - low < BINS else BINS
    edges = (low - 0.5, high + 0.5) if whole else (low, max(high, low + 1e-9))
    shares = {
        name: np.histogram(values, bins=n_bins, range=edges)[0] / len(values)
        for name, values in {**sets, "": real}.items()
        if len(values)
    }
    most = max(float(one.max()) for one in shares.values())
    drawn = []
    for kind, (name, share) in enumerate(shares.items()):
        tall = (share / most * HEIGHT).tolist()
        title = f"<title>{escape(name or 'real molecules')}</title>"
        is_only = len(sets) == 1 and name
        outline = _bars(tall) if is_only else _steps(tall, kind if name else None)
        drawn.append(f"<g>{outline}{title}</g>")
    ends = (
        f'<text x="{LEFT}" y="{TOP + HEIGHT + 12}">{low:.3g}</text>'
        f'<text x="{LEFT + WIDTH}" y="{TOP + HEIGHT + 12}" text-anchor="end">{high:.3g}</text>'
    )
    return _svg("".join(drawn) + ends)


def _bars(tall: Sequence[float]) -> str:
    width = WIDTH / len(tall)
    return "".join(
        f'<rect x="{LEFT + k * width:.1f}" y="{TOP + HEIGHT - height:.1f}" '
        f'width="{max(width - 1, 0.5):.1f}" height="{height:.1f}"/>'
        for k, height in enumerate(tall)
    )


def _steps(tall: Sequence[float], kind: int | None) -> str:
    width = WIDTH / len(tall)
    points = [
        (LEFT + (k + side) * width, TOP + HEIGHT - height)
        for k, height in enumerate(tall)
        for side in (0, 1)
    ]
    return _line(points, kind)


def _line(points: Sequence[tuple[float, float]], kind: int | None) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{"real" if kind is None else f"line{kind % 4}"}" points="{path}"/>'


def _svg(inside: str) -> str:
    size = f"0 0 {WIDTH + 2 * LEFT} {HEIGHT + TOP + 15}"
    return f'<svg viewBox="{size}" role="img" width="100%">{inside}</svg>'

"""Prices that make single choices comparable: the Lagrangian dual of joint decoding.

Every atom gets a price per unit of valence and the molecule one per unit of charge. For any
prices, the cheapest choice at each atom and each pair, priced, adds up to a lower bound on every
valid molecule; what a choice costs above the cheapest then bounds what it costs the whole. With
good prices almost every choice is excluded by its own cost. The prices maximise the bound,
smoothed by a temperature that is lowered in stages, by Newton's method (the dual is concave and
its Hessian is a graph Laplacian plus a diagonal).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from molgen.chem.choices import Choices, FloatArray

TEMPERATURES = tuple(np.geomspace(1.0, 0.05, 8).tolist())
"""Smoothing temperatures in nats; one Newton step is taken at each."""

TRUST = 2.0
"""Largest change of a price in one step, in units of the temperature."""

RIDGE = 1e-3
"""Added to the Hessian's diagonal; atoms without any doubt have no curvature of their own."""

RELEVANT = 15.0
"""Pairs whose best bond has a larger deficit than this do not take part in the prices, in nats."""


def reduced(choices: Choices) -> Choices:
    """Deficits under the best prices.

    Args:
        choices: The deficits.

    Returns:
        The same choices, where the total over any valid molecule is lower by one constant, the
        bound; a choice whose reduced deficit exceeds a valid molecule's total cannot be better.
    """
    shown = _relevant(choices)
    price = np.zeros(choices.n_atoms + 1)
    for temperature in TEMPERATURES:
        price += _newton_step(shown, price, temperature)
    return replace(
        choices,
        state=_above_cheapest(_state_cost(choices, price)),
        order=_above_cheapest(_order_cost(choices, price)),
    )


def _relevant(choices: Choices) -> Choices:
    keep = choices.order[:, 1:].min(axis=1, initial=np.inf) < RELEVANT
    return replace(
        choices, begin=choices.begin[keep], end=choices.end[keep], order=choices.order[keep]
    )


def _state_cost(choices: Choices, price: FloatArray) -> FloatArray:
    per_state = price[:-1, None] * choices.valence + price[-1] * choices.formal_charge
    return choices.state + np.asarray(per_state, dtype=np.float64)


def _order_cost(choices: Choices, price: FloatArray) -> FloatArray:
    per_order = price[choices.begin] + price[choices.end]
    return choices.order - per_order[:, None] * np.arange(choices.order.shape[1])


def _above_cheapest(cost: FloatArray) -> FloatArray:
    cheapest = cost.min(axis=1, keepdims=True, initial=np.inf)
    return cost - np.where(np.isfinite(cheapest), cheapest, 0.0)


def _newton_step(choices: Choices, price: FloatArray, temperature: float) -> FloatArray:
    """One damped ascent step of the smoothed bound."""
    n = choices.n_atoms
    state = _gibbs(_state_cost(choices, price), temperature)
    order = _gibbs(_order_cost(choices, price), temperature)
    valence, charge = choices.valence, choices.formal_charge
    mean_valence, mean_charge = state @ valence, state @ charge
    steps = np.arange(order.shape[1])
    mean_order = order @ steps
    var_order = order @ steps**2 - mean_order**2

    gradient = np.empty(n + 1)
    gradient[:n] = mean_valence
    gradient[:n] -= np.bincount(choices.begin, mean_order, n)
    gradient[:n] -= np.bincount(choices.end, mean_order, n)
    gradient[n] = mean_charge.sum()

    curvature = np.zeros((n + 1, n + 1))
    curvature[choices.begin, choices.end] = var_order
    curvature += curvature.T
    diagonal = curvature.sum(axis=1)
    diagonal[:n] += state @ valence**2 - mean_valence**2
    diagonal[n] = (state @ charge**2 - mean_charge**2).sum()
    curvature[:n, n] = curvature[n, :n] = state @ (valence * charge) - mean_valence * mean_charge
    curvature[np.arange(n + 1), np.arange(n + 1)] = diagonal + RIDGE
    step = temperature * np.linalg.solve(curvature, gradient)
    length = max(float(np.abs(step).max()), 1e-9)
    return np.asarray(step * min(1.0, TRUST * temperature / length), dtype=np.float64)


def _gibbs(cost: FloatArray, temperature: float) -> FloatArray:
    weight = np.exp(-_above_cheapest(cost) / temperature)
    return np.asarray(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300))

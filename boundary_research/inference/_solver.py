"""Newton's method for the roots of estimating equations of many outcomes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boundary_research.inference._moments import Base, Equations

_LARGE = 200_000  # cells above which a subsample gives the start


@dataclass
class Solution:
    """Roots b (K, p), their J (K, p, p), and which outcomes have a root that was reached."""

    b: np.ndarray
    jacobian: np.ndarray
    converged: np.ndarray


def _subsample(equations: Equations) -> Equations:
    """Return the equations on every so-manieth cell, without gold terms: only for a start."""
    step = len(equations.base.X) // 20_000
    base = equations.base
    small = Base(base.X[::step], base.offset[::step], base.weight[::step], base.target[::step], [])
    factor = np.ones(equations.n_outcomes)
    return Equations(equations.family, small, factor, [], equations.gold_base)


def solve(
    equations: Equations,
    start: np.ndarray | None = None,
    *,
    tolerance: float = 1e-10,
    largest: float = 30.0,
) -> Solution:
    """Return the roots by Newton's method with step halving.

    A step is taken for an outcome only if it brings |U| down. Stops when the step, in units of one
    root-mean-square of each column, is under `tolerance`. An outcome whose coefficients leave
    ``[-largest, largest]`` in these units under a logit has no finite root (separation).
    """
    base = equations.base
    p, outcomes = base.X.shape[1], equations.n_outcomes
    source = base.X if equations.base_factor.any() else equations.gold[0].X
    scale = np.sqrt(np.mean(source**2, axis=0))
    scale[scale == 0] = 1.0
    if start is None:
        start = np.zeros((outcomes, p))
        if equations.base_factor.any() and base.coarse is None and len(base.X) > _LARGE:
            rough = solve(_subsample(equations), start, tolerance=1e-4)
            start[rough.converged] = rough.b[rough.converged]
    b = start.copy()
    total, jacobian = equations.evaluate(b)
    converged = np.zeros(outcomes, dtype=bool)
    active = np.arange(outcomes)
    for _ in range(80):
        step, solvable = _newton_steps(total[active], jacobian[active])
        active, step = active[solvable], step[solvable]
        if not len(active):
            break
        size = np.max(np.abs(step * scale), axis=1)
        taken = _take_steps(equations, active, step, scale, b, total, jacobian)
        bound = tolerance * (1 + np.max(np.abs(b[active] * scale), axis=1))
        done = size < bound
        converged[active[done]] = True
        away = np.max(np.abs(b[active] * scale), axis=1) > largest
        lost = ~done & (~taken | (away & (equations.family != "ols")))
        active = active[~done & ~lost]
        if not len(active):
            break
    return Solution(b, jacobian, converged)


def _newton_steps(total: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Newton steps, shape (K, p), and for which outcomes J could be inverted."""
    step = np.zeros_like(total)
    solvable = np.zeros(len(total), dtype=bool)
    for k in range(len(total)):
        root = np.sqrt(np.abs(np.diag(jacobian[k])))
        if not np.isfinite(jacobian[k]).all() or (root == 0).any():
            continue
        scaled = jacobian[k] / np.outer(root, root)
        if np.linalg.cond(scaled) < 1e13:
            step[k] = np.linalg.solve(scaled, total[k] / root) / root
            solvable[k] = True
    return step, solvable


def _take_steps(
    equations: Equations,
    active: np.ndarray,
    step: np.ndarray,
    scale: np.ndarray,
    b: np.ndarray,
    total: np.ndarray,
    jacobian: np.ndarray,
) -> np.ndarray:
    """Move b along steps halved until |U| falls; changes b, total and jacobian in place."""
    taken = np.zeros(len(active), dtype=bool)
    length = 1.0
    for _ in range(30):
        left = np.flatnonzero(~taken)
        which = active[left]
        trial = b[which] + length * step[left]
        new_total, new_jacobian = equations.select(which).evaluate(trial)
        old = np.sum((total[which] / scale) ** 2, axis=1)
        new = np.sum((new_total / scale) ** 2, axis=1)
        # At the root |U| is rounding noise; a step that small is taken as it is.
        tiny = np.max(np.abs(step[left] * scale), axis=1) < 1e-9 * (
            1 + np.max(np.abs(trial * scale), axis=1)
        )
        good = np.isfinite(new) & ((new < old) | tiny | (old == 0))
        moved = which[good]
        b[moved], total[moved], jacobian[moved] = (
            trial[good],
            new_total[good],
            new_jacobian[good],
        )
        taken[left[good]] = True
        if taken.all():
            break
        length /= 2
    return taken

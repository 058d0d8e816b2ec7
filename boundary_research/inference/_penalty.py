"""Penalised roots where cells are thin or codes are separated.

The root b of U(b) = 0 is replaced by that of U(b) + w q(b) = 0, with q the gradient of the log
prior and w the weight of one gold code (Σ π⁻² / Σ π⁻¹, and 1 where every row counts alike). So the
prior weighs as much as it does in an ordinary analysis of the gold codes, however many predictions
there are; for a naive analysis, or gold codes drawn with equal chances, it is the usual penalised
likelihood.

Priors: log-F(1, 1) for each coefficient but the intercept (Greenland and Mansournia 2015; 95% of it
lies at odds ratios from 1/648 to 648), a numeric column taken per two standard deviations;
Jeffreys', that is Firth's 1993 penalty.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from boundary_research.inference._moments import Equations


def column_units(X: np.ndarray) -> np.ndarray:
    """Return the unit of each column, shape (p,): 0 for the intercept, 1 for 0/1, else 2 sd."""
    low, high, spread = X.min(axis=0), X.max(axis=0), X.std(axis=0)
    binary = (low >= 0) & (high <= 1)
    return np.where(spread == 0, 0.0, np.where(binary, 1.0, 2 * spread))


def log_f_gradient(b: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return q and -dq/db of the log-F(1, 1) prior, both of shape (p,)."""
    share = special.expit(b * units)
    return units * (0.5 - share), units**2 * share * (1 - share)


def firth_gradient(equations: Equations, b: np.ndarray) -> np.ndarray:
    """Return ½ d log|J| / db, shape (p,), by central differences."""
    gradient = np.empty(len(b))
    for j in range(len(b)):
        step = np.zeros_like(b)
        step[j] = 1e-4 * max(1.0, abs(b[j]))
        above = np.linalg.slogdet(equations.evaluate((b + step)[None])[1][0])[1]
        below = np.linalg.slogdet(equations.evaluate((b - step)[None])[1][0])[1]
        gradient[j] = (above - below) / (4 * step[j])
    return gradient


def solve_penalised(
    equations: Equations, *, penalty: str, X: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Return b, J, the precision that the prior adds, and whether the root was reached.

    Where a correction takes a share well below 0 no weak prior brings it back, and there is no
    root.

    Parameters
    ----------
    equations : Equations
        Of one outcome.
    penalty : {"logf", "firth"}
    X : shape (m, p)
        Design, for the units of its columns.
    weight : float
        w of the module's formula.
    """
    p = X.shape[1]
    units = column_units(X)
    reach = np.where(units > 0, units, 1.0)
    b = np.zeros(p)
    total, jacobian = (part[0] for part in equations.evaluate(b[None]))
    for _ in range(200):
        if penalty == "logf":
            gradient, curvature = log_f_gradient(b, units)
        else:
            gradient, curvature = firth_gradient(equations, b), np.zeros(p)
        system = jacobian + weight * np.diag(curvature)
        if not np.isfinite(system).all() or np.linalg.cond(system) > 1e13:
            break
        step = np.linalg.solve(system, total + weight * gradient)
        size = float(np.max(np.abs(step * reach)))
        b = b + step * min(1.0, 2.0 / max(size, 1e-12))  # no more than 2 on the log-odds scale
        total, jacobian = (part[0] for part in equations.evaluate(b[None]))
        if np.max(np.abs(b * reach)) > 20:
            break
        if size < 1e-9:
            added = log_f_gradient(b, units)[1] if penalty == "logf" else np.zeros(p)
            return b, jacobian, added, True
    return b, jacobian, np.zeros(p), False


def posterior_variance(vcov: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Return (V⁻¹ + diag(added))⁻¹ without inverting V, shape (p, p)."""
    root = np.sqrt(added)
    inner = np.eye(len(added)) + root[:, None] * vcov * root
    return vcov - (vcov * root) @ np.linalg.solve(inner, root[:, None] * vcov)

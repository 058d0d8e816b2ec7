"""Maximum of the two-class latent class model by expectation maximisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Half a narrative of each kind is added to each coder's counts (Jeffreys' prior), so that a coder
# without a seen error is not taken to be without error.
PSEUDO_COUNT = 0.5


@dataclass(frozen=True)
class Patterns:
    """The p response patterns of c coders."""

    yes: np.ndarray  # (p, c) one where the coder said "present"
    no: np.ndarray  # (p, c) one where she said "absent"


@dataclass(frozen=True)
class Fit:
    """Parameters in each of b samples."""

    prevalence: np.ndarray  # (b,)
    sensitivity: np.ndarray  # (b, c)
    specificity: np.ndarray  # (b, c)
    posterior: np.ndarray  # (b, p)
    converged: bool


def fit_classes(
    patterns: Patterns, weights: np.ndarray, max_iter: int, *, start: Fit | None = None
) -> Fit:
    """Fit the model to b samples of pattern weights at once, shape (b, p)."""
    yes, no = patterns.yes, patterns.no
    total = weights.sum(axis=1)
    if start is None:
        share = yes.sum(axis=1) / (yes + no).sum(axis=1)
        posterior = np.broadcast_to(share, weights.shape)
    else:
        posterior = np.broadcast_to(start.posterior, weights.shape)
    before = np.zeros((len(weights), 2 * yes.shape[1] + 1))
    settled = False
    for _ in range(max_iter):
        present, absent = posterior * weights, (1 - posterior) * weights
        seen, unseen = present @ (yes + no), absent @ (yes + no)
        sensitivity = (present @ yes + PSEUDO_COUNT) / (seen + 2 * PSEUDO_COUNT)
        specificity = (absent @ no + PSEUDO_COUNT) / (unseen + 2 * PSEUDO_COUNT)
        prevalence = (present.sum(axis=1) + PSEUDO_COUNT) / (total + 2 * PSEUDO_COUNT)
        odds = np.log(prevalence / (1 - prevalence))[:, None]
        odds = odds + np.log(sensitivity / (1 - specificity)) @ yes.T
        odds = odds + np.log((1 - sensitivity) / specificity) @ no.T
        posterior = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
        now = np.column_stack([prevalence, sensitivity, specificity])
        if np.abs(now - before).max() < 1e-7:
            settled = True
            break
        before = now
    return Fit(prevalence, sensitivity, specificity, posterior, settled)

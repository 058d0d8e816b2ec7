"""The known truth of a simulated registry, by summation over the attributes (no simulation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from boundary_research.corpus._registry_joint import Joint
from boundary_research.corpus._registry_model import (
    RegistryModel,
    bridge_quantile,
    joint_distribution,
)

_NODES = 128  # for the incident effect that categories share


@dataclass(frozen=True)
class RegistryTruth:
    """What an analysis of the registry should find.

    Attributes
    ----------
    prevalence : pandas.DataFrame
        `category`, `attribute`, `level` (both empty for the whole), `share` among all incidents,
        and `share_reported`, the expected share among reported incidents.
    effects : pandas.DataFrame
        One row for each category and level that is not an attribute's first: `category`, `term`
        (formulaic's name, ``setting[T.rural]``), `attribute`, `level`, `reference`,
        `log_odds_ratio` and `odds_ratio` (adjusted for the other attributes, averaged over agencies
        and practitioners), `marginal_difference` (difference of shares, standardised to the other
        attributes of all incidents) and `marginal_difference_reported` (standardised to those of
        the reported ones).
    error : pandas.DataFrame
        `category`, `attribute`, `level`, `sensitivity`, `specificity` of the classifier.
    intercepts : pandas.Series
        Log odds of each category where every attribute is at its first level.
    icc, practitioner_icc, association : float
        Shares of the latent (logistic) variance between agencies, between practitioners of an
        agency, and common to the categories of an incident.
    reported : float
        Expected share of incidents that are reported.

    Notes
    -----
    Where reporting depends on severity or category, the odds ratios among *reported* incidents
    differ from `log_odds_ratio`; compare `share_reported` instead.
    """

    prevalence: pd.DataFrame
    effects: pd.DataFrame
    error: pd.DataFrame
    intercepts: pd.Series
    icc: float
    practitioner_icc: float
    association: float
    reported: float


def _linear_predictor(model: RegistryModel, joint: Joint) -> np.ndarray:
    eta = np.tile(model.intercepts, (len(joint.codes), 1))
    for name, table in model.effects.items():
        eta += table[joint.column(name)]
    return eta


def _reporting(
    model: RegistryModel, joint: Joint, eta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return P(reported | x), shape (C,), and P(reported and Y_k = 1 | x), shape (C, K).

    Given x and the incident effect w the categories are independent, so that P(worst severity <= m)
    is a product over categories; a factor by category multiplies its "present" part.
    """
    count, size = eta.shape
    by_severity, by_category = np.ones((count, 4)), np.ones((count, size))
    for name, kind, table in model.reporting:
        row = np.zeros(count, dtype=int) if name is None else joint.column(name)
        if kind == "severity":
            by_severity *= table[row]
        else:
            by_category *= table[row]
    phi = model.phi[2]
    points, weights = np.polynomial.legendre.leggauss(_NODES if phi < 1 else 1)
    w = bridge_quantile((points + 1) / 2, phi)
    # F[k, m]: share of category k with severity below or at m, for m = none, 0, 1, 2
    F = np.hstack([np.zeros((size, 1)), np.cumsum(model.severity, axis=1)])
    total, joint_total = np.zeros(count), np.zeros((count, size))
    for node, weight in zip(w, weights / 2, strict=True):
        q = special.expit(eta / phi + node)
        seen = (q * by_category)[:, :, None] * F
        terms = (1 - q)[:, :, None] + seen
        logs = np.log(np.maximum(terms, 1e-300))
        all_of_them = logs.sum(axis=1)  # (C, 4)
        at_most = np.exp(all_of_them)
        total += weight * (by_severity * np.diff(at_most, axis=1, prepend=0)).sum(axis=1)
        others = np.exp(all_of_them[:, None, :] - logs)
        present = np.diff(seen * others, axis=2, prepend=0)
        joint_total += weight * (by_severity[:, None, :] * present).sum(axis=2)
    return total, joint_total


def _prevalence(
    model: RegistryModel, joint: Joint, share: np.ndarray, seen: np.ndarray, seen_with: np.ndarray
) -> pd.DataFrame:
    groups = [("", "", np.ones(len(joint.codes), dtype=bool))]
    for name, attribute in model.attributes.items():
        for code, level in enumerate(attribute.levels):
            if name in joint.names:
                groups.append((name, level, joint.column(name) == code))
            elif attribute.parent is None:  # no part in the model: the same as the whole
                groups.append((name, level, groups[0][2]))
    parts = []
    for name, level, rows in groups:
        p = joint.probability * rows
        if p.sum() == 0:
            continue
        parts.append(
            pd.DataFrame(
                {
                    "category": model.categories,
                    "attribute": name,
                    "level": level,
                    "share": p @ share / p.sum(),
                    "share_reported": p @ seen_with / (p @ seen),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _effects(
    model: RegistryModel, joint: Joint, eta: np.ndarray, reported: np.ndarray
) -> pd.DataFrame:
    weights = reported / reported.sum()
    parts = []
    for name, attribute in model.attributes.items():
        table = model.effects.get(name, np.zeros((len(attribute.levels), len(model.categories))))
        others = eta - table[joint.column(name)] if name in joint.names else eta
        at_reference = special.expit(others + table[0])
        for code, level in enumerate(attribute.levels[1:], start=1):
            log_odds_ratio = table[code] - table[0]
            difference = special.expit(others + table[code]) - at_reference
            parts.append(
                pd.DataFrame(
                    {
                        "category": model.categories,
                        "term": f"{name}[T.{level}]",
                        "attribute": name,
                        "level": level,
                        "reference": attribute.levels[0],
                        "log_odds_ratio": log_odds_ratio,
                        "odds_ratio": np.exp(log_odds_ratio),
                        "marginal_difference": joint.probability @ difference,
                        "marginal_difference_reported": weights @ difference,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def _error(model: RegistryModel) -> pd.DataFrame:
    rows = []
    for category, (name, rates) in zip(model.categories, model.error, strict=True):
        levels = ("",) if name is None else model.attributes[name].levels
        for level, (sensitivity, specificity) in zip(levels, rates, strict=True):
            rows.append((category, name or "", level, sensitivity, specificity))
    columns = ["category", "attribute", "level", "sensitivity", "specificity"]
    return pd.DataFrame(rows, columns=columns)


def compute_truth(model: RegistryModel) -> RegistryTruth:
    """Return the truth that follows from a model."""
    joint = joint_distribution(model)
    eta = _linear_predictor(model, joint)
    share = special.expit(eta)
    if model.reporting:
        seen, seen_with = _reporting(model, joint, eta)
    else:
        seen, seen_with = np.ones(len(eta)), share
    return RegistryTruth(
        prevalence=_prevalence(model, joint, share, seen, seen_with),
        effects=_effects(model, joint, eta, joint.probability * seen),
        error=_error(model),
        intercepts=pd.Series(model.intercepts, index=list(model.categories), name="intercept"),
        icc=model.icc[0],
        practitioner_icc=model.icc[1],
        association=model.icc[2],
        reported=float(joint.probability @ seen),
    )

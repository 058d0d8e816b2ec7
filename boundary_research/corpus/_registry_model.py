"""The probability model of a simulated registry: its arguments checked, its truth computed.

Every category k has a logistic model whose effects are averaged over agencies, practitioners and
incidents: P(Y_k = 1 | x) = expit(a_k + x'b_k). Random effects that leave it so follow the bridge
distribution (Wang and Louis 2003, Biometrika 90:765-775). With φ in (0, 1) its quantile function is
F⁻¹(u) = (1/φ) log(sin(φπu) / sin(φπ(1 - u))), its variance (π²/3)(φ⁻² - 1), and integrating
expit(η + B) over it gives expit(φη).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import optimize, special

from boundary_research._checks import DataError, check_fraction
from boundary_research.corpus._registry_joint import AttributeModel, Joint, join_levels

SEVERITIES = ("none", 0, 1, 2)


@dataclass(frozen=True)
class Given:
    """Shares of an attribute's levels, given the level of an attribute listed before it.

    Attributes
    ----------
    attribute : str
    shares : mapping of str to mapping of str to float
        For each level of `attribute`, the shares of the levels.
    """

    attribute: str
    shares: Mapping[str, Mapping[str, float]]


_SIZES = ("1 million or more", "100,000-999,999", "10,000-49,999", "2,500-9,999", "under 2,500")
_PLACES = {
    "urban": (0.45, 0.45, 0.10, 0.0, 0.0),
    "suburban": (0.10, 0.40, 0.40, 0.10, 0.0),
    "rural": (0.0, 0.0, 0.20, 0.40, 0.40),
    "small_community_nonrural": (0.0, 0.05, 0.15, 0.30, 0.50),
}
ATTRIBUTES: dict[str, Mapping[str, float] | Given] = {
    "setting": {"urban": 0.45, "suburban": 0.2, "rural": 0.25, "small_community_nonrural": 0.1},
    "community_size": Given(
        "setting", {k: dict(zip(_SIZES, v, strict=True)) for k, v in _PLACES.items()}
    ),
    "role": {"social_worker": 0.4, "case_manager": 0.25, "nurse": 0.2, "support_worker": 0.15},
    "practitioner_tenure": {
        "10 years or more": 0.3,
        "5-9 years": 0.25,
        "1-4 years": 0.3,
        "under 1 year": 0.15,
    },
}
"""Attributes and shares by default: plausible, not measured."""


@dataclass(frozen=True)
class ClassifierError:
    """Sensitivity and specificity of the simulated classifier, the same or by an attribute.

    Attributes
    ----------
    sensitivity, specificity : float in (0, 1]
    by : str, optional
        The attribute on whose level the error depends (differential error).
    levels : mapping of str to (float, float)
        Sensitivity and specificity at the levels of `by` that differ from the two above.
    """

    sensitivity: float = 1.0
    specificity: float = 1.0
    by: str | None = None
    levels: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RegistryModel:
    """All that a block of rows is drawn from.

    Letters: K categories, L levels of an attribute. `effects` holds, for each attribute, log odds
    (L, K); `error`, for each category, the attribute or None and its rates (L, 2); `reporting` the
    attribute or None, "severity" or "category", and the factors (L, 4) or (L, K).
    """

    categories: tuple[str, ...]
    attributes: dict[str, AttributeModel]
    agency_attributes: tuple[str, ...]
    prevalence: np.ndarray
    intercepts: np.ndarray
    effects: dict[str, np.ndarray]
    severity: np.ndarray
    error: tuple[tuple[str | None, np.ndarray], ...]
    reporting: tuple[tuple[str | None, str, np.ndarray], ...]
    not_stated: dict[str, float]
    phi: tuple[float, float, float]
    icc: tuple[float, float, float]


def bridge_quantile(u: np.ndarray, phi: float) -> np.ndarray:
    """Return the quantiles of the bridge distribution; all 0 at `phi` = 1."""
    if phi == 1:
        return np.zeros_like(u)
    u = np.maximum(u, 2.0**-54)  # a generator may return 0
    return np.log(np.sin(phi * np.pi * u) / np.sin(phi * np.pi * (1 - u))) / phi


def _shares(shares: Mapping[str, float], name: str) -> tuple[tuple[str, ...], np.ndarray]:
    if not isinstance(shares, Mapping) or len(shares) < 2:
        raise DataError(f"attributes: {name!r} needs a mapping of two levels or more to shares.")
    values = np.array(
        [check_fraction(v, name=f"share of {k!r}", zero=True) for k, v in shares.items()]
    )
    if abs(values.sum() - 1) > 1e-6:
        raise DataError(
            f"attributes: the shares of {name!r} must sum to 1, they sum to {values.sum():g}."
        )
    return tuple(map(str, shares)), values / values.sum()


def _attribute_models(
    attributes: Mapping[str, Mapping[str, float] | Given], agency_attributes: Sequence[str]
) -> dict[str, AttributeModel]:
    models: dict[str, AttributeModel] = {}
    for name, given in attributes.items():
        if not isinstance(given, Given):
            levels, shares = _shares(given, name)
            models[name] = AttributeModel(name, levels, None, shares[None, :])
            continue
        if given.attribute not in models:
            raise DataError(
                f"attributes: {name!r} depends on {given.attribute!r}, which must stand before it. "
                f"Listed so far: {', '.join(models) or 'none'}."
            )
        if name in agency_attributes and given.attribute not in agency_attributes:
            raise DataError(
                f"agency_attributes: {name!r} depends on {given.attribute!r}, which varies within "
                f"agencies. Add {given.attribute!r} to agency_attributes."
            )
        parent = models[given.attribute]
        if set(given.shares) != set(parent.levels):
            raise DataError(
                f"attributes: {name!r} needs shares for every level of {given.attribute!r}: "
                f"{', '.join(parent.levels)}."
            )
        rows = [_shares(given.shares[level], name) for level in parent.levels]
        levels = rows[0][0]
        if any(set(row[0]) != set(levels) for row in rows):
            raise DataError(f"attributes: {name!r} must list the same levels in every row.")
        table = np.array([[dict(zip(*row, strict=True))[v] for v in levels] for row in rows])
        models[name] = AttributeModel(name, levels, given.attribute, table)
    unknown = [name for name in agency_attributes if name not in models]
    if unknown:
        raise DataError(
            f"agency_attributes: {unknown[0]!r} not found. Available: {', '.join(models)}."
        )
    return models


def _attribute(models: Mapping[str, AttributeModel], name: Any, where: str) -> AttributeModel:
    if name not in models:
        raise DataError(f"{where}: attribute {name!r} not found. Available: {', '.join(models)}.")
    return models[name]


def _position(values: Sequence[Any], value: Any, where: str) -> int:
    if value not in values:
        raise DataError(f"{where}: {value!r} not found. Available: {', '.join(map(str, values))}.")
    return list(values).index(value)


def _effect_tables(
    effects: Mapping[str, Mapping[str, Mapping[str, float]]],
    categories: Sequence[str],
    models: Mapping[str, AttributeModel],
) -> dict[str, np.ndarray]:
    tables: dict[str, np.ndarray] = {}
    for category, by_attribute in effects.items():
        k = _position(categories, category, "effects: category")
        for name, by_level in by_attribute.items():
            model = _attribute(models, name, f"effects of {category!r}")
            table = tables.setdefault(name, np.zeros((len(model.levels), len(categories))))
            for level, value in by_level.items():
                table[_position(model.levels, level, f"effects of {category!r}: {name}"), k] = value
    if any(not np.isfinite(table).all() for table in tables.values()):
        raise DataError("effects must be finite numbers (log odds ratios).")
    return tables


def _reporting_tables(
    reporting: Mapping[Any, Mapping[Any, float]],
    categories: Sequence[str],
    models: Mapping[str, AttributeModel],
) -> tuple[tuple[str | None, str, np.ndarray], ...]:
    axes: dict[str, Sequence[Any]] = {"severity": SEVERITIES, "category": categories}
    tables = []
    for key, factors in reporting.items():
        parts = key if isinstance(key, tuple) else (key,)
        kind = parts[-1] if parts[-1] in axes else "severity"
        name = None if parts == (kind,) else parts[0]
        plain = len(parts) == 1 and name is not None  # by attribute alone
        if len(parts) > 2 or (len(parts) == 2 and parts[1] not in axes):
            raise DataError(
                f"reporting: key {key!r} not understood. Allowed: an attribute, 'severity', "
                f"'category', or a pair (attribute, 'severity') or (attribute, 'category')."
            )
        levels = ("",) if name is None else _attribute(models, name, "reporting").levels
        table = np.ones((len(levels), len(axes[kind])))
        for cell, value in factors.items():
            value = check_fraction(value, name=f"reporting of {cell!r}", one=True)
            first, second = cell if isinstance(cell, tuple) else (cell, cell)
            row = 0 if name is None else _position(levels, first, f"reporting by {name}")
            if plain:
                table[row, :] = value
            else:
                table[row, _position(axes[kind], second, f"reporting by {kind}")] = value
        tables.append((name, kind, table))
    return tuple(tables)


def _error_tables(
    error: ClassifierError | Mapping[str, ClassifierError] | None,
    categories: Sequence[str],
    models: Mapping[str, AttributeModel],
) -> tuple[tuple[str | None, np.ndarray], ...]:
    if error is None:
        error = ClassifierError()
    if isinstance(error, ClassifierError):
        error = dict.fromkeys(categories, error)
    missing = [c for c in categories if c not in error]
    if missing:
        raise DataError(
            f"classifier_error: category {missing[0]!r} has no entry. Give one for each."
        )
    tables = []
    for category in categories:
        e = error[category]
        levels = ("",) if e.by is None else _attribute(models, e.by, "classifier_error").levels
        rates = np.tile([e.sensitivity, e.specificity], (len(levels), 1)).astype(float)
        for level, pair in e.levels.items():
            rates[_position(levels, level, "classifier_error: level")] = pair
        for name, column in zip(("sensitivity", "specificity"), rates.T, strict=True):
            for value in column:
                check_fraction(value, name=f"{name} of {category!r}", one=True)
        tables.append((e.by, rates))
    return tuple(tables)


def _severity_table(severity: Any, categories: Sequence[str]) -> np.ndarray:
    if severity is None:
        severity = (0.2, 0.4, 0.4)
    rows = [severity[c] if isinstance(severity, Mapping) else severity for c in categories]
    table = np.array(rows, dtype=float)
    if (
        table.shape != (len(categories), 3)
        or (table < 0).any()
        or (abs(table.sum(1) - 1) > 1e-6).any()
    ):
        raise DataError(
            "severity needs three shares (levels 0, 1, 2) that sum to 1 for each category."
        )
    return table


def level_shares(model: RegistryModel, name: str) -> np.ndarray:
    """Return the expected shares of the levels of one attribute, shape (L,)."""
    joint = join_levels(model.attributes, {name})
    return np.bincount(joint.column(name), weights=joint.probability)


def joint_distribution(model: RegistryModel) -> Joint:
    """Return the joint distribution of all attributes that the truth depends on."""
    used = {name for name, _, _ in model.reporting if name} | set(model.effects)
    return join_levels(model.attributes, used)


def _intercepts(
    joint: Joint, effects: Mapping[str, np.ndarray], prevalence: np.ndarray
) -> np.ndarray:
    eta = np.zeros((len(joint.codes), len(prevalence)))
    for name, table in effects.items():
        eta += table[joint.column(name)]

    def solve(k: int) -> float:
        reach = np.abs(eta[:, k]).max() + 40

        def gap(a: float) -> float:
            return float(joint.probability @ special.expit(a + eta[:, k])) - prevalence[k]

        return float(optimize.brentq(gap, -reach, reach, xtol=1e-13))

    return np.array([solve(k) for k in range(len(prevalence))])


def build_model(
    *,
    prevalence: Mapping[str, float],
    effects: Mapping[str, Mapping[str, Mapping[str, float]]],
    attributes: Mapping[str, Mapping[str, float] | Given],
    agency_attributes: Sequence[str],
    reporting: Mapping[Any, Mapping[Any, float]],
    classifier_error: ClassifierError | Mapping[str, ClassifierError] | None,
    severity: Any,
    not_stated: Mapping[str, float],
    icc: float,
    practitioner_icc: float,
    association: float,
) -> RegistryModel:
    """Check the arguments of a simulation and solve for the intercepts."""
    if not prevalence:
        raise DataError("prevalence needs at least one category and its share, such as {'a': 0.2}.")
    categories = tuple(map(str, prevalence))
    target = np.array(
        [check_fraction(v, name=f"prevalence of {k!r}") for k, v in prevalence.items()]
    )
    models = _attribute_models(attributes, agency_attributes)
    tables = _effect_tables(effects, categories, models)
    shares = tuple(
        check_fraction(value, name=name, zero=True)
        for name, value in (
            ("icc", icc),
            ("practitioner_icc", practitioner_icc),
            ("association", association),
        )
    )
    if sum(shares) >= 1:
        raise DataError("icc, practitioner_icc and association must sum to less than 1.")
    # Latent variance left below each level, from the rows' own logistic variance outwards.
    below = 1 - sum(shares) + np.cumsum([0.0, *shares])
    phi = np.sqrt(below[:-1] / below[1:])
    for name, value in not_stated.items():
        _attribute(models, name, "not_stated")
        check_fraction(value, name=f"not_stated of {name!r}", zero=True)
    return RegistryModel(
        categories=categories,
        attributes=models,
        agency_attributes=tuple(agency_attributes),
        prevalence=target,
        intercepts=_intercepts(join_levels(models, set(tables)), tables, target),
        effects=tables,
        severity=_severity_table(severity, categories),
        error=_error_tables(classifier_error, categories, models),
        reporting=_reporting_tables(reporting, categories, models),
        not_stated={k: float(v) for k, v in not_stated.items()},
        phi=(float(phi[0]), float(phi[1]), float(phi[2])),
        icc=(shares[0], shares[1], shares[2]),
    )

"""Which incidents are of which kind: regressions of all categories on attributes, corrected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import (
    DataError,
    check_choice,
    check_columns,
    check_fraction,
    check_random_state,
)
from boundary_research.inference._alignment import Codes, align_codes, match_incidents
from boundary_research.inference._counts import check_min_cell
from boundary_research.inference._formula import (
    Design,
    build_design,
    check_cells,
    clean_variables,
    count_cells,
    parse_formula,
    thin_columns,
)
from boundary_research.inference._grouping import check_fold_clusters, cluster_columns
from boundary_research.inference._inputs import check_clusters, check_design
from boundary_research.inference._options import TARGETS, say_target
from boundary_research.inference._regression import Request, Terms, fit_terms
from boundary_research.inference._risk_table import finish_table, long_table
from boundary_research.inference._variance import SMALL_SAMPLE
from boundary_research.inference.crossfit import PREDICTIONS, augment_codes
from boundary_research.inference.multiple_testing import METHODS


def risk_factors(
    formula: str,
    incidents: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    clusters: str | Sequence[str] | pd.Series | None = "auto",
    family: str = "logit",
    offset: str | None = None,
    contrasts: Mapping[str, str] | None = None,
    adjust: str | None = "bh",
    min_cell: int = 5,
    missing: str = "both",
    penalty: str | None = "auto",
    estimators: Sequence[str] = ("naive", "gold_only", "dsl", "ppi"),
    categories: Sequence[str] | None = None,
    predictions: str = "predicted",
    conf_level: float = 0.95,
    small_sample: str = "auto",
    finite_population: bool = False,
    trained_on_gold: bool | None = None,
    imputations: int = 10,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return associations of attributes with each category among reported incidents.

    Every category is regressed on the formula, by each estimator, with its p-values adjusted for
    all categories and terms at once. Incident reports are case-only data: an odds ratio here
    compares the kinds of incidents that are reported, not the chance that one happens.

    Parameters
    ----------
    formula : str
        One-sided, read by formulaic: ``"~ setting + role + practitioner_age"``.
    incidents : pandas.DataFrame
        With `incident_id` and the variables of the formula; `not_stated` and empty are missing.
    coded, gold : pandas.DataFrame
        See `prevalence`.
    clusters : column name(s) of `incidents` (one or two), Series indexed by incident_id, or None
        "auto" takes `agency_id` where it is there without gaps.
    family : {"logit", "poisson", "ols"}
        Odds ratios; ratios of shares, or of rates with an `offset`; differences of shares.
    offset : column name, optional
        For poisson: the logarithm of the exposure behind each row.
    contrasts : dict of variable to reference level, optional
        By default the first level of an ordered categorical, else the most frequent level.
    adjust : {"bh", "by", "holm", "bonferroni"} or None
    min_cell : int
        Levels with fewer incidents are held back (and one more where a total would give them away),
        and counts of gold codes below it are not shown.
    missing : {"complete", "impute", "both"}
        What to do about missing attributes: leave the incidents out, impute them (multiple
        imputation by chained equations from the other attributes and the codes, pooled by Rubin's
        rules), or both side by side. Without missing attributes all three are the same.
    penalty : {"auto", "logf", "firth"} or None
        For a logit. "auto" uses the weak log-F(1, 1) prior for categories in which a level has
        fewer than five gold codes of one kind or codes are separated. None refuses separated
        codes.
    estimators, categories, predictions, conf_level, small_sample, finite_population,
    trained_on_gold
        See `prevalence`.
    imputations : int
    random_state : int, numpy.random.Generator or None
        For imputations and bootstrap.

    Returns
    -------
    pandas.DataFrame
        The estimates table, a row for each category, term and estimator; `estimate` and limits are
        on the scale of the coefficients. Further columns: `odds_ratio` (`ratio` for poisson) with
        ``_low`` and ``_high``; `difference_points` (average marginal difference in share points,
        of 100) with limits; `variable`, `level`, `reference`; `n_level`, `n_gold_level`,
        `n_gold_present`, `n_clusters_level`; `missing` (complete_case or multiple_imputation);
        `penalty`; `n_tests` (over which p-values were adjusted); `note`. ``attrs["estimand"]``
        says what is estimated.

    Raises
    ------
    DataError
        If the formula names an unknown column, gold codes have no inclusion probability or are not
        in `coded`, a level has no gold codes or is one agency only, or codes are separated with
        penalty=None.
    """
    check_choice(family, ["logit", "poisson", "ols"], name="family")
    check_choice(missing, ["complete", "impute", "both"], name="missing")
    check_choice(predictions, PREDICTIONS, name="predictions")
    if penalty is not None:
        check_choice(penalty, ["auto", "logf", "firth"], name="penalty")
    if adjust is not None:
        check_choice(adjust, METHODS, name="adjust")
    for name in estimators:
        check_choice(name, ["naive", "gold_only", "dsl", "ppi"], name="estimator")
    min_cell = check_min_cell(min_cell)
    if imputations < 2:
        raise DataError(f"imputations must be 2 or more, got {imputations}.")
    request = Request(
        family=family,
        estimators=list(estimators),
        predictions=predictions,
        penalty=penalty if family == "logit" else None,
        conf_level=check_fraction(conf_level, name="conf_level"),
        small_sample=check_choice(small_sample, SMALL_SAMPLE, name="small_sample"),
        finite=finite_population,
        generator=check_random_state(random_state),
    )
    if not isinstance(incidents, pd.DataFrame):
        raise DataError("table incidents: a pandas DataFrame is needed.")
    parsed, variables = parse_formula(formula, incidents.columns)
    codes = align_codes(
        coded,
        gold,
        trained_on_gold=trained_on_gold,
        categories=None if categories is None else list(categories),
    )
    codes, incidents = match_incidents(codes, incidents)
    frame = clean_variables(incidents, variables, contrasts)
    labels = cluster_columns(clusters, codes, incidents)
    if trained_on_gold is not False:
        check_fold_clusters(codes.fold, labels)
    shift = _offset(offset, incidents, family)
    complete = frame.notna().all(axis=1).to_numpy()
    tables = []
    if missing != "impute" or complete.all():
        tables.append(
            _complete_case(
                parsed, frame, codes, labels, shift, complete, formula, min_cell, request
            )
        )
    if missing != "complete" and not complete.all():
        from boundary_research.inference._imputation import impute_frames

        frames = impute_frames(frame, codes, imputations, request.generator)
        tables.append(_imputed(parsed, frames, codes, labels, shift, formula, min_cell, request))
    table = pd.concat(tables, ignore_index=True)
    table = finish_table(table, family, offset, adjust, conf_level, codes, complete)
    table.attrs["estimand"] = say_target(table.attrs["estimand"], finite_population)
    table.attrs["target"] = TARGETS[bool(finite_population)]
    table.attrs["clusters"] = [] if labels is None else list(labels.columns)
    return table


def _offset(offset: str | None, incidents: pd.DataFrame, family: str) -> np.ndarray:
    """Return the offset, zero where there is none."""
    if offset is None:
        return np.zeros(len(incidents))
    if family != "poisson":
        raise DataError(f"offset goes with family='poisson', got family={family!r}.")
    check_columns(incidents.columns, [offset], source="table incidents")
    values = pd.to_numeric(incidents[offset], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise DataError(
            f"offset {offset!r} is missing or infinite in "
            f"{int((~np.isfinite(values)).sum())} rows. "
            f"It is the logarithm of an exposure above zero."
        )
    return values


def _cluster_codes(
    labels: pd.DataFrame | None, keep: np.ndarray
) -> tuple[list[np.ndarray], list[int]]:
    if labels is None:
        return [], []
    kept = labels[keep]
    return check_clusters(tuple(kept[name] for name in kept.columns), len(kept))


def _terms_of(
    parsed: Any,
    frame: pd.DataFrame,
    codes: Codes,
    ways: tuple[list[np.ndarray], list[int]],
    shift: np.ndarray,
    formula: str,
    min_cell: int,
    request: Request,
) -> tuple[Design, pd.DataFrame, dict[str, Terms]]:
    """Return design, counts and the fits of each estimator for one complete data set."""
    design = build_design(parsed, frame, formula=formula)
    check_design(design.X, len(design.X))
    first = ways[0][0] if ways[0] else None
    cells = count_cells(design, codes, first, min_cell)
    check_cells(design, cells, first)
    thin = thin_columns(design, cells, codes.categories)
    if request.predictions == "augmented":
        labels = pd.DataFrame({"cluster": first}) if first is not None else None
        augmented = augment_codes(codes, design.X, labels, request.generator)
        codes = replace(codes, probability=augmented)
    return design, cells, fit_terms(design, codes, ways, shift, thin, request)


def _complete_case(
    parsed: Any,
    frame: pd.DataFrame,
    codes: Codes,
    labels: pd.DataFrame | None,
    shift: np.ndarray,
    complete: np.ndarray,
    formula: str,
    min_cell: int,
    request: Request,
) -> pd.DataFrame:
    """Return the answers from incidents whose attributes are all stated."""
    part = codes.take(complete)
    if not len(part.rows):
        raise DataError(
            f"formula {formula!r}: no gold incident has all of its variables stated. Use "
            f"missing='impute', or fewer variables."
        )
    ways = _cluster_codes(labels, complete)
    design, cells, fits = _terms_of(
        parsed, frame[complete], part, ways, shift[complete], formula, min_cell, request
    )
    return long_table(design, cells, fits, part, ways, min_cell).assign(missing="complete_case")


def _imputed(
    parsed: Any,
    frames: list[pd.DataFrame],
    codes: Codes,
    labels: pd.DataFrame | None,
    shift: np.ndarray,
    formula: str,
    min_cell: int,
    request: Request,
) -> pd.DataFrame:
    """Return the answers from multiply imputed attributes, pooled by Rubin's rules."""
    from boundary_research.inference._imputation import pool

    ways = _cluster_codes(labels, np.ones(len(codes.ids), dtype=bool))
    calm = request.without_bootstrap()
    rounds = [
        _terms_of(parsed, frame, codes, ways, shift, formula, min_cell, calm) for frame in frames
    ]
    names = rounds[0][0].names
    if any(design.names != names for design, _, _ in rounds):
        raise DataError(
            f"formula {formula!r}: some level is too rare to appear in every imputed data "
            f"set. Merge "
            f"rare levels, or use missing='complete'."
        )
    pooled = {
        name: pool([fits[name] for _, _, fits in rounds], request.conf_level)
        for name in rounds[0][2]
    }
    cells = rounds[0][1].copy()
    for column in ("n_level", "n_gold_level", "n_gold_present"):
        cells[column] = np.mean([other[column] for _, other, _ in rounds], axis=0).round()
    cells["held_back"] = np.any([other["held_back"] for _, other, _ in rounds], axis=0)
    table = long_table(rounds[0][0], cells, pooled, codes, ways, min_cell)
    return table.assign(missing="multiple_imputation")

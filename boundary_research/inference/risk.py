"""Which incidents are of which kind: regressions of all categories on attributes, corrected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from boundary_research._tables import ESTIMATE_COLUMNS
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
from boundary_research.inference._inputs import check_clusters, check_design
from boundary_research.inference._regression import Request, Terms, fit_terms
from boundary_research.inference._variance import SMALL_SAMPLE
from boundary_research.inference.multiple_testing import METHODS, adjust_p_values
from boundary_research.inference.shares import cluster_columns

RATIOS = {"logit": "odds_ratio", "poisson": "ratio"}
_COUNTS = [
    "n_level",
    "n_gold_level",
    "n_gold_present",
    "n_reference",
    "n_gold_present_reference",
    "n_clusters_level",
]


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
    check_choice(predictions, ["predicted", "probability"], name="predictions")
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
    return _finish(table, family, offset, adjust, conf_level, codes, complete)


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
    return _long(design, cells, fits, part, ways, min_cell).assign(missing="complete_case")


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
    table = _long(rounds[0][0], cells, pooled, codes, ways, min_cell)
    return table.assign(missing="multiple_imputation")


def _long(
    design: Design,
    cells: pd.DataFrame,
    fits: dict[str, Terms],
    codes: Codes,
    ways: tuple[list[np.ndarray], list[int]],
    min_cell: int,
) -> pd.DataFrame:
    """Return the fits as one row for each category, term and estimator."""
    p, outcomes = len(design.names), len(codes.categories)
    parts = []
    for name, terms in fits.items():
        part = pd.DataFrame(
            {
                "term": np.tile(design.names, outcomes),
                "category": np.repeat(codes.categories, p),
                "estimator": name,
            }
        )
        for column, values in terms.columns().items():
            part[column] = values.ravel()
        part["penalty"] = np.repeat(terms.penalty, p)
        part["note"] = np.repeat(terms.note, p)
        part["n_gold"] = 0 if name == "naive" else len(codes.rows)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["n_total"] = len(codes.ids)
    table["n_clusters"] = ways[1][0] if ways[1] else len(codes.ids)
    meaning = pd.DataFrame(
        [
            {"term": design.names[j], "variable": variable, "level": level}
            for j, (variable, level) in design.levels.items()
        ]
        + [
            {"term": design.names[j], "variable": variable, "level": None}
            for j, variable in design.slopes.items()
        ],
        columns=["term", "variable", "level"],
    )
    table = table.merge(meaning, on="term", how="left")
    table = table.merge(cells, on=["variable", "level", "category"], how="left")
    behind = cells[cells["level"] == cells["reference"]]
    behind = behind[["variable", "category", "n_level", "n_gold_present", "held_back"]].rename(
        columns={
            "n_level": "n_reference",
            "n_gold_present": "n_gold_present_reference",
            "held_back": "reference_held_back",
        }
    )
    table = table.merge(behind, on=["variable", "category"], how="left")
    # Without its reference a level's estimate and counts say nothing that may be shown
    hidden = table["held_back"].eq(True) | table["reference_held_back"].eq(True)
    for column in ("n_gold_present", "n_gold_present_reference"):
        table[column] = table[column].astype(float)
        small = (table[column] > 0) & (table[column] < min_cell)
        table.loc[small, column] = np.nan
    numbers = [name for name in fits[next(iter(fits))].columns() if name in table.columns]
    table.loc[hidden, [*numbers, *_COUNTS]] = np.nan
    table.loc[hidden, "note"] = "held back: few incidents"
    place = {name: i for i, name in enumerate(codes.categories)}
    order = {name: i for i, name in enumerate(design.names)}
    table["_category"], table["_term"] = table["category"].map(place), table["term"].map(order)
    table = table.sort_values(["_category", "_term"], kind="stable", ignore_index=True)
    return table.drop(columns=["thin", "held_back", "reference_held_back", "_category", "_term"])


def _finish(
    table: pd.DataFrame,
    family: str,
    offset: str | None,
    adjust: str | None,
    conf_level: float,
    codes: Codes,
    complete: np.ndarray,
) -> pd.DataFrame:
    """Return the table with ratios, adjusted p-values and its columns in order."""
    if family in RATIOS:
        ratio = RATIOS[family]
        table[ratio] = np.exp(table["estimate"])
        table[f"{ratio}_low"] = np.exp(table["conf_low"])
        table[f"{ratio}_high"] = np.exp(table["conf_high"])
    table["p_adjusted"] = np.nan
    table["n_tests"] = 0
    tested = table["term"] != "Intercept"
    for _, rows in table[tested].groupby(["estimator", "missing"]).groups.items():
        values = table.loc[rows, "p_value"].to_numpy()
        table.loc[rows, "p_adjusted"] = adjust_p_values(values, adjust)
        table.loc[rows, "n_tests"] = int(np.isfinite(values).sum())
    points = [name for name in table.columns if name.startswith("difference")]
    ratios = [name for name in table.columns if "ratio" in name]
    rest = ["variable", "level", "reference", *_COUNTS, "missing", "penalty", "n_tests", "note"]
    table = table[[*ESTIMATE_COLUMNS, *ratios, *points, *rest]]
    kind = {
        "logit": "odds ratios of being in the category, among reported incidents",
        "poisson": "ratios of shares of reported incidents",
        "ols": "differences of shares of reported incidents",
    }[family]
    if offset is not None:
        kind = f"ratios of rates of reported incidents, by the exposure in {offset}"
    table.attrs["estimand"] = kind
    table.attrs["conf_level"] = conf_level
    table.attrs["adjust"] = adjust
    table.attrs["n_missing"] = int((~complete).sum())
    table.attrs["notes"] = list(codes.notes)
    return table


def missing_exposures(
    incidents: pd.DataFrame, columns: Sequence[str], *, by: str | None = None, min_cell: int = 5
) -> pd.DataFrame:
    """Return how often attributes are missing or `not_stated`, by setting, say.

    Parameters
    ----------
    incidents : pandas.DataFrame
    columns : sequence of str
    by : str, optional
        Column whose groups are compared; its own missing values are the group `not_stated`.
    min_cell : int
        Groups of fewer incidents are held back.

    Returns
    -------
    pandas.DataFrame
        Columns `variable`, the group (if `by`), `n_total`, `n_missing`, `share_missing`.

    Examples
    --------
    >>> table = pd.DataFrame({"setting": ["rural"] * 6, "role": ["nurse", "not_stated"] * 3})
    >>> missing_exposures(table, ["role"], by="setting")
      variable setting  n_total  n_missing  share_missing
    0     role   rural      6.0        3.0            0.5
    """
    from boundary_research.inference._counts import held_back

    wanted = [columns] if isinstance(columns, str) else list(columns)
    check_columns(
        incidents.columns, wanted + ([by] if by is not None else []), source="table incidents"
    )
    if by is None:
        group = pd.Series("all", index=incidents.index)
    else:
        group = incidents[by].astype(object).where(incidents[by].notna(), "not_stated").astype(str)
    parts = []
    for name in wanted:
        column = incidents[name]
        text = column.astype("string").str.strip()
        gone = column.isna() | text.eq("not_stated").fillna(False)
        part = gone.astype(float).groupby(group).agg(["size", "sum"]).reset_index()
        part.columns = pd.Index([by or "group", "n_total", "n_missing"])
        part = part.astype({"n_total": float})
        part["share_missing"] = part["n_missing"] / part["n_total"]
        hidden = held_back(part["n_total"], min_cell)
        part.loc[hidden, ["n_total", "n_missing", "share_missing"]] = np.nan
        part.insert(0, "variable", name)
        parts.append(part if by is not None else part.drop(columns="group"))
    return pd.concat(parts, ignore_index=True)

"""The same association against other comparison groups, and for a negative control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import (
    DataError,
    check_choice,
    check_fraction,
)
from boundary_research._tables import ESTIMATE_COLUMNS
from boundary_research.inference._alignment import Codes, align_codes, match_incidents
from boundary_research.inference._formula import (
    Design,
    build_design,
    clean_variables,
    parse_formula,
)
from boundary_research.inference._grouping import cluster_columns
from boundary_research.inference.multiple_testing import METHODS, adjust_p_values

_CASE, _CONTROL, _OTHER, _NONE, _REST = "case", "control", "other", "none", "unlisted"
FEWEST = 5  # gold incidents of a class below which no comparison is made
_ADVICE = (
    "An association that reporting or detection brings about shows against one comparison group "
    "and not the other, or for the negative-control category too. The designs that begin with "
    "control should be near 1; design negative_control compares two kinds of incidents that share "
    "such a bias."
)


def _classes(
    present: np.ndarray,
    categories: list[str],
    category: str,
    control: str | None,
    others: list[str],
) -> np.ndarray:
    """Return the comparison class of each row of `present`, shape (n, K)."""

    def any_of(names: Sequence[str]) -> np.ndarray:
        columns = [categories.index(name) for name in names]
        return np.asarray((present[:, columns] == 1).any(axis=1))

    return np.select(
        [
            any_of([category]),
            any_of([control] if control else []),
            any_of(others),
            any_of(categories),
        ],
        [_CASE, _CONTROL, _OTHER, _REST],
        _NONE,
    ).astype(object)


def _contrasts(category: str, control: str | None) -> list[tuple[str, str, str, str]]:
    """Return design, what is compared, and the two classes."""
    found = [
        ("other_categories", category, _CASE, _OTHER),
        ("no_category", category, _CASE, _NONE),
    ]
    if control is not None:
        found += [
            ("negative_control", category, _CASE, _CONTROL),
            ("control_against_other_categories", control, _CONTROL, _OTHER),
            ("control_against_no_category", control, _CONTROL, _NONE),
        ]
    return found


def _fit(
    X: np.ndarray,
    classes: dict[str, np.ndarray],
    codes: Codes,
    labels: pd.DataFrame | None,
    levels: list[str],
    estimator: str,
    conf_level: float,
) -> Any:
    """Return the multinomial fit of one estimator; `classes` has all rows' and the gold rows'."""
    from boundary_research.inference.estimators import dsl_multinomial, ppi_multinomial

    n, rows = len(X), codes.rows
    gold = np.full(n, None, dtype=object)
    gold[rows] = classes["gold"]
    pi = np.full(n, np.nan)
    pi[rows] = codes.inclusion_probability
    predicted, weights, keep = classes["predicted"], np.ones(n), np.ones(n, dtype=bool)
    if estimator == "naive":
        gold, pi = predicted, np.ones(n)
    elif estimator == "gold_only":
        keep = np.zeros(n, dtype=bool)
        keep[rows] = True
        predicted, weights, pi = gold, 1 / np.where(keep, pi, 1.0), np.ones(n)
    ways = None
    if labels is not None:
        ways = tuple(labels.loc[keep, name].to_numpy() for name in labels.columns)
    estimate = ppi_multinomial if estimator == "ppi" else dsl_multinomial
    return estimate(
        X[keep],
        predicted[keep],
        gold[keep],
        pi[keep],
        levels=levels,
        clusters=ways,
        weights=weights[keep],
        small_sample="CR1",
        conf_level=conf_level,
    )


def compare_designs(
    formula: str,
    incidents: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    category: str | Sequence[str],
    negative_control: str | None = None,
    other_categories: Sequence[str] | None = None,
    clusters: str | Sequence[str] | pd.Series | None = "auto",
    contrasts: Mapping[str, str] | None = None,
    adjust: str | None = "bh",
    estimators: Sequence[str] = ("naive", "gold_only", "dsl"),
    conf_level: float = 0.95,
    trained_on_gold: bool | None = None,
) -> pd.DataFrame:
    """Return odds ratios of a category against two comparison groups and a negative control.

    Parameters
    ----------
    formula, incidents, coded, gold, clusters, contrasts, conf_level, trained_on_gold
        See `risk_factors`. Incidents with a missing attribute are left out.
    category : str or sequence of str
        The category in question, or several, each compared on its own.
    negative_control : str, optional
        A category that the exposure should have nothing to do with, but that is reported and found
        in the same way.
    other_categories : sequence of str, optional
        First comparison group: incidents with any of these and not the two above; by default all
        other categories. The second group is the incidents with no category at all.
    adjust : {"bh", "by", "holm", "bonferroni"} or None
        For p-values of all categories in question, designs and terms of an estimator at once.
    estimators : sequence of {"naive", "gold_only", "dsl", "ppi"}

    Returns
    -------
    pandas.DataFrame
        The estimates table with `in_question` (the category the rows are about), `design`
        ("other_categories", "no_category", "negative_control",
        "control_against_other_categories", "control_against_no_category"), `odds_ratio` and limits,
        `n_gold_case`, `n_gold_comparison` and `note`. Of several categories, one with too few gold
        codes for a comparison is a row without numbers whose note says so. ``attrs["reading"]``
        says how to read the table, ``attrs["n_tests"]`` over how many p-values were adjusted.

    Raises
    ------
    DataError
        If a category is not found or a comparison group has no gold codes.

    Notes
    -----
    Each incident belongs to one class (category; else negative control; else other category; else
    none), and all contrasts come from one multinomial logit, corrected for classifier error by
    `dsl_multinomial` or `ppi_multinomial`, so that they share their uncertainty. Negative controls:
    Lipsitch, Tchetgen Tchetgen and Cohen 2010, Epidemiology 21:383-388. Two control groups:
    Rosenbaum 1987, Stat Sci 2:292-306.
    """
    conf_level = check_fraction(conf_level, name="conf_level")
    for name in estimators:
        check_choice(name, ["naive", "gold_only", "dsl", "ppi"], name="estimator")
    if adjust is not None:
        check_choice(adjust, METHODS, name="adjust")
    parsed, variables = parse_formula(formula, incidents.columns)
    codes = align_codes(coded, gold, trained_on_gold=trained_on_gold)
    codes, incidents = match_incidents(codes, incidents)
    chosen = [category] if isinstance(category, str) else list(category)
    others = {
        name: _comparison(codes.categories, name, negative_control, other_categories)
        for name in chosen
    }
    if not chosen:
        raise DataError("category: name at least one.")
    frame = clean_variables(incidents, variables, contrasts)
    labels = cluster_columns(clusters, codes, incidents)
    complete = frame.notna().all(axis=1).to_numpy()
    codes, frame = codes.take(complete), frame[complete]
    if labels is not None:
        labels = labels[complete].reset_index(drop=True)
    design = build_design(parsed, frame, formula=formula)
    parts = []
    for name in chosen:
        try:
            part = _one_category(
                design, codes, labels, name, negative_control, others[name], estimators, conf_level
            )
        except DataError as error:
            if len(chosen) == 1:
                raise
            part = pd.DataFrame({"category": [name], "note": [str(error)]})
        parts.append(part.assign(in_question=name))
    return _finish(parts, adjust, conf_level, int((~complete).sum()))


def _one_category(
    design: Design,
    codes: Codes,
    labels: pd.DataFrame | None,
    category: str,
    control: str | None,
    others: list[str],
    estimators: Sequence[str],
    conf_level: float,
) -> pd.DataFrame:
    """Return the contrasts of one category in question by each estimator."""
    classes = {
        name: _classes(present, codes.categories, category, control, others)
        for name, present in (("predicted", codes.predicted), ("gold", codes.gold))
    }
    wanted = _contrasts(category, control)
    counts = pd.Series(classes["gold"]).value_counts()
    levels = _levels(classes, counts, wanted)
    parts = []
    for estimator in estimators:
        result = _fit(design.X, classes, codes, labels, levels, estimator, conf_level)
        part = _contrast_table(result, levels, design.names, wanted)
        part["estimator"] = estimator
        part["n_gold"] = 0 if estimator == "naive" else len(codes.rows)
        part["n_total"] = len(codes.ids)
        part["n_clusters"] = result.n_clusters
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["n_gold_case"] = table.pop("first").map(counts)
    table["n_gold_comparison"] = table.pop("second").map(counts)
    return table.assign(note="")


def _finish(
    parts: list[pd.DataFrame], adjust: str | None, conf_level: float, n_missing: int
) -> pd.DataFrame:
    """Return the table of all categories with ratios, adjusted p-values and columns in order."""
    table = pd.concat(parts, ignore_index=True)
    if "estimate" not in table.columns:
        raise DataError(f"No category can be compared. The first: {table['note'].iloc[0]}")
    for end, column in (("", "estimate"), ("_low", "conf_low"), ("_high", "conf_high")):
        table[f"odds_ratio{end}"] = np.exp(table[column])
    table["p_adjusted"] = np.nan
    tests = 0
    for _, rows in table.groupby("estimator").groups.items():
        values = table.loc[rows, "p_value"].to_numpy()
        table.loc[rows, "p_adjusted"] = adjust_p_values(values, adjust)
        tests = int(np.isfinite(values).sum())
    ratio = ["odds_ratio", "odds_ratio_low", "odds_ratio_high"]
    last = [*ratio, "n_gold_case", "n_gold_comparison", "note"]
    table = table[["in_question", "design", *ESTIMATE_COLUMNS, *last]]
    table.attrs["estimand"] = "odds ratios of kinds of incidents, among reported incidents"
    table.attrs["conf_level"] = conf_level
    table.attrs["reading"] = _ADVICE
    table.attrs["n_missing"] = n_missing
    table.attrs["n_tests"] = tests
    return table


def _comparison(
    categories: list[str], category: str, control: str | None, others: Sequence[str] | None
) -> list[str]:
    """Return the categories of the first comparison group."""
    for name in [category, *([control] if control else []), *(others or [])]:
        check_choice(name, categories, name="category")
    if control == category:
        raise DataError("negative_control must be another category than the one in question.")
    return [name for name in (others or categories) if name not in (category, control)]


def _levels(
    classes: dict[str, np.ndarray], counts: pd.Series, wanted: list[tuple[str, str, str, str]]
) -> list[str]:
    """Return the classes that occur, or refuse those with too few gold codes."""
    advice = "Code more narratives, or choose another negative_control or other_categories."
    for _, _, *pair in wanted:
        for name in pair:
            if counts.get(name, 0) < FEWEST:
                raise DataError(
                    f"compare_designs: fewer than {FEWEST} gold incidents are in the class "
                    f"{name!r} (case: the category; control: the negative control; other: another "
                    f"category; none: no category). {advice}"
                )
    levels = [c for c in (_NONE, _OTHER, _CONTROL, _CASE, _REST) if counts.get(c, 0)]
    unseen = sorted(set(classes["predicted"]) - set(levels))
    if unseen:
        raise DataError(
            f"compare_designs: the predictions have the class {unseen[0]!r}, the gold codes do "
            f"not. {advice}"
        )
    return levels


def _contrast_table(
    result: Any,
    levels: list[str],
    names: list[str],
    wanted: list[tuple[str, str, str, str]],
) -> pd.DataFrame:
    """Return the contrasts between classes of a multinomial fit, without intercepts."""
    p = len(names)
    rows = []
    for design, category, first, second in wanted:
        for j, term in enumerate(names):
            if term == "Intercept":
                continue
            weights = np.zeros(len(result.estimate))
            for level, sign in ((first, 1.0), (second, -1.0)):
                if level != levels[0]:
                    weights[(levels.index(level) - 1) * p + j] += sign
            error = float(np.sqrt(weights @ result.vcov @ weights))
            value, df = float(weights @ result.estimate), float(np.min(result.df))
            half = stats.t.ppf(0.5 + result.conf_level / 2, df) * error
            rows.append(
                {
                    "design": design,
                    "category": category,
                    "term": term,
                    "estimate": value,
                    "std_error": error,
                    "conf_low": value - half,
                    "conf_high": value + half,
                    "p_value": 2 * stats.t.sf(abs(value / error), df),
                    "first": first,
                    "second": second,
                }
            )
    return pd.DataFrame(rows)

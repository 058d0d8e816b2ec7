"""The same association by other comparison groups, cut points and choices of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import (
    DataError,
    check_choice,
    check_columns,
    check_fraction,
    check_random_state,
)
from boundary_research._tables import ESTIMATE_COLUMNS
from boundary_research.inference._alignment import Codes, align_codes, match_incidents
from boundary_research.inference._formula import build_design, clean_variables, parse_formula
from boundary_research.inference.shares import cluster_columns

_CASE, _CONTROL, _OTHER, _NONE, _REST = "case", "control", "other", "none", "unlisted"
_ADVICE = (
    "An association that reporting or detection brings about shows against one comparison group and "
    "not the other, or with the negative-control category too. The last two designs should be near "
    "1; the third compares two kinds of incidents that share such a bias."
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
    from boundary_research.inference.estimators import dsl_multinomial

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
    return dsl_multinomial(
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
    category: str,
    negative_control: str | None = None,
    other_categories: Sequence[str] | None = None,
    clusters: str | Sequence[str] | pd.Series | None = "auto",
    contrasts: Mapping[str, str] | None = None,
    estimators: Sequence[str] = ("naive", "gold_only", "dsl"),
    conf_level: float = 0.95,
    trained_on_gold: bool | None = None,
) -> pd.DataFrame:
    """Return odds ratios of a category against two comparison groups and a negative control.

    Parameters
    ----------
    formula, incidents, coded, gold, clusters, contrasts, conf_level, trained_on_gold
        See `risk_factors`. Incidents with a missing attribute are left out.
    category : str
        The category in question.
    negative_control : str, optional
        A category that the exposure should have nothing to do with, but that is reported and found
        in the same way.
    other_categories : sequence of str, optional
        First comparison group: incidents with any of these and not the two above; by default all
        other categories. The second group is the incidents with no category at all.
    estimators : sequence of {"naive", "gold_only", "dsl"}

    Returns
    -------
    pandas.DataFrame
        The estimates table with `design` ("other_categories", "no_category", "negative_control",
        "control_against_other_categories", "control_against_no_category"), `odds_ratio` and limits,
        and `n_gold_case`, `n_gold_comparison`. ``attrs["reading"]`` says how to read it.

    Raises
    ------
    DataError
        If a category is not found or a comparison group has no gold codes.

    Notes
    -----
    Each incident belongs to one class (category; else negative control; else other category; else
    none), and all contrasts come from one multinomial logit, corrected for classifier error by
    `dsl_multinomial`, so that they share their uncertainty. Negative controls: Lipsitch, Tchetgen
    Tchetgen and Cohen 2010, Epidemiology 21:383-388. Two control groups: Rosenbaum 1987, Stat Sci
    2:292-306.
    """
    conf_level = check_fraction(conf_level, name="conf_level")
    for name in estimators:
        check_choice(name, ["naive", "gold_only", "dsl"], name="estimator")
    parsed, variables = parse_formula(formula, incidents.columns)
    codes = align_codes(coded, gold, trained_on_gold=trained_on_gold)
    codes, incidents = match_incidents(codes, incidents)
    for name in [category, negative_control, *(other_categories or [])]:
        if name is not None:
            check_choice(name, codes.categories, name="category")
    if negative_control == category:
        raise DataError("negative_control must be another category than the one in question.")
    taken = {category, negative_control}
    others = [c for c in (other_categories or codes.categories) if c not in taken]
    frame = clean_variables(incidents, variables, contrasts)
    labels = cluster_columns(clusters, codes, incidents)
    complete = frame.notna().all(axis=1).to_numpy()
    codes, frame = codes.take(complete), frame[complete]
    if labels is not None:
        labels = labels[complete].reset_index(drop=True)
    design = build_design(parsed, frame, formula=formula)
    classes = {
        "predicted": _classes(
            codes.predicted, codes.categories, category, negative_control, others
        ),
        "gold": _classes(codes.gold, codes.categories, category, negative_control, others),
    }
    wanted = _contrasts(category, negative_control)
    counts = pd.Series(classes["gold"]).value_counts()
    for _, _, *pair in wanted:
        for name in pair:
            if counts.get(name, 0) < 2:
                raise DataError(
                    f"compare_designs: fewer than two gold codes in the comparison class {name!r} "
                    f"(gold incidents a class: {counts.to_dict()}). Code more narratives, or choose "
                    f"another negative control or other_categories."
                )
    levels = [c for c in (_NONE, _OTHER, _CONTROL, _CASE, _REST) if counts.get(c, 0)]
    unseen = set(classes["predicted"]) - set(levels)
    if unseen:
        raise DataError(
            f"compare_designs: the predictions have the class {sorted(unseen)[0]!r}, the gold codes "
            f"do not. Code more narratives, or widen other_categories."
        )
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
    for end, column in (("", "estimate"), ("_low", "conf_low"), ("_high", "conf_high")):
        table[f"odds_ratio{end}"] = np.exp(table[column])
    table["p_adjusted"] = np.nan
    ratio = ["odds_ratio", "odds_ratio_low", "odds_ratio_high"]
    table = table[["design", *ESTIMATE_COLUMNS, *ratio, "n_gold_case", "n_gold_comparison"]]
    table.attrs["estimand"] = "odds ratios of kinds of incidents, among reported incidents"
    table.attrs["reading"] = _ADVICE
    table.attrs["n_missing"] = int((~complete).sum())
    return table


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


def cut_point_sensitivity(
    attribute: str,
    incidents: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    levels: Sequence[str],
    adjust_for: Sequence[str] = (),
    **options: Any,
) -> pd.DataFrame:
    """Return the association of "small" with each category at every cut point of an attribute.

    Parameters
    ----------
    attribute : str
        Column of `incidents` with ordered levels, such as the population of the place.
    incidents, coded, gold : pandas.DataFrame
    levels : sequence of str
        All levels, smallest first: ``load_codebook().attribute("community_size").levels``, say;
        `not_stated` among them is passed over.
    adjust_for : sequence of str
        Further columns of the regression.
    **options
        To `risk_factors`.

    Returns
    -------
    pandas.DataFrame
        Rows of `risk_factors` for the level "at or below" of each cut, with the first columns
        `cut_point` (the largest level that counts as small), `n_at_or_below`, `n_above` and, where a
        cut cannot be estimated, empty numbers and the reason in `note`.
    """
    from boundary_research.inference.risk import risk_factors

    check_columns(incidents.columns, [attribute, *adjust_for], source="table incidents")
    order = [str(level) for level in levels if str(level) != "not_stated"]
    if len(order) < 2:
        raise DataError("levels must name two levels or more, the smallest first.")
    value = incidents[attribute].astype(object)
    value = value.where(incidents[attribute].notna(), "not_stated").astype(str)
    unknown = sorted(set(value) - set(order) - {"not_stated"})
    if unknown:
        raise DataError(
            f"levels: {attribute} has {unknown[0]!r}, which is not listed. Listed: "
            f"{', '.join(order)}."
        )
    name = f"{attribute}_group"
    if name in incidents.columns:
        raise DataError(f"table incidents has a column {name!r} already. Rename it.")
    position = value.map({level: i for i, level in enumerate(order)})
    options["contrasts"] = {**(options.get("contrasts") or {}), name: "above"}
    formula = "~ " + " + ".join([name, *adjust_for])
    parts = []
    for i, level in enumerate(order[:-1]):
        small = np.where(position <= i, "at or below", "above")
        group = pd.Series(small, index=incidents.index, dtype=object).where(position.notna())
        counts = group.value_counts()
        try:
            table = risk_factors(formula, incidents.assign(**{name: group}), coded, gold, **options)
            table = table[table["variable"] == name]
        except DataError as error:
            table = pd.DataFrame({"term": [f"{name}[T.at or below]"], "note": [str(error)]})
        table = table.reset_index(drop=True)
        for j, (column, side) in enumerate(
            (("n_at_or_below", "at or below"), ("n_above", "above")), start=1
        ):
            table.insert(j - 1, column, int(counts.get(side, 0)))
        table.insert(0, "cut_point", level)
        parts.append(table)
    if all("estimate" not in part.columns for part in parts):
        raise DataError(f"No cut point of {attribute} can be estimated: {parts[0]['note'][0]}")
    combined = pd.concat(parts, ignore_index=True)
    combined.attrs.update(next(p.attrs for p in parts if "estimate" in p.columns))
    return combined


def first_incident_sensitivity(
    formula: str,
    incidents: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    practitioner: str = "practitioner_id",
    date: str = "occurred_on",
    random_state: int | np.random.Generator | None = 0,
    **options: Any,
) -> pd.DataFrame:
    """Return associations with all reports, with first reports, and with one for each practitioner.

    A few practitioners draw many reports; an association that rests on them is one about those
    people.

    Parameters
    ----------
    formula, incidents, coded, gold
        See `risk_factors`.
    practitioner, date : str
        Columns of `incidents`. Reports without a practitioner count as one practitioner each;
        undated ones come last.
    random_state : int, numpy.random.Generator or None
    **options
        To `risk_factors`.

    Returns
    -------
    pandas.DataFrame
        Rows of `risk_factors` with the first columns `reports` ("all", "first", "one_at_random") and
        `n_reports`, `n_practitioners`.
    """
    from boundary_research.inference.risk import risk_factors

    check_columns(incidents.columns, [practitioner, date], source="table incidents")
    generator = check_random_state(random_state)
    person = incidents[practitioner].astype(object)
    alone = "report " + incidents["incident_id"].astype(str)
    person = person.where(incidents[practitioner].notna(), alone).astype(str)
    when = pd.to_datetime(incidents[date], errors="coerce")
    order = pd.DataFrame(
        {
            "person": person.to_numpy(),
            "when": when.to_numpy(),
            "id": incidents["incident_id"].astype(str).to_numpy(),
            "chance": generator.random(len(incidents)),
            "row": np.arange(len(incidents)),
        }
    )
    first = order.sort_values(["when", "id"], na_position="last").drop_duplicates("person")
    random = order.sort_values("chance").drop_duplicates("person")
    if len(first) == len(incidents):
        raise DataError(
            f"No {practitioner} occurs twice, so there are no repeat practitioners to examine."
        )
    parts = []
    for name, rows in (
        ("all", np.arange(len(incidents))),
        ("first", np.sort(first["row"])),
        ("one_at_random", np.sort(random["row"])),
    ):
        table = risk_factors(formula, incidents.iloc[rows], coded, gold, **options)
        table.insert(0, "reports", name)
        table.insert(1, "n_reports", len(rows))
        table.insert(2, "n_practitioners", int(person.iloc[rows].nunique()))
        parts.append(table)
    combined = pd.concat(parts, ignore_index=True)
    combined.attrs.update(parts[0].attrs)
    return combined

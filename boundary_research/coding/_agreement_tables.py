"""Agreement on a table of codings, per category and overall."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, check_random_state
from boundary_research._tables import check_table
from boundary_research.coding._agreement_intervals import AgreementOptions
from boundary_research.coding._agreement_results import AgreementResult
from boundary_research.coding._codings import pivot_codings, read_codings, sets_from_codings
from boundary_research.coding._coefficients import (
    brennan_prediger,
    conger_kappa,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
)
from boundary_research.coding._pair_coefficients import percent_agreement, specific_agreement
from boundary_research.coding._set_agreement import set_alpha
from boundary_research.coding._unitizing import unitizing_alpha

OVERALL = "(overall)"
TABLE_COLUMNS = [
    "category",
    "coefficient",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "prevalence",
    "prevalence_index",
    "bias_index",
    "observed",
    "n_units",
    "n_coders",
    "n_ratings",
    "n_clusters",
    "interval",
    "confidence",
    "note",
]


def _per_incident(table: pd.DataFrame, source: Any, what: str) -> pd.Series | None:
    """Return a value for each incident, from a column of the codings or a Series by incident."""
    if source is None:
        return None
    if isinstance(source, str):
        check_columns(table.columns, [source], source="codings")
        values = table.groupby("incident_id")[source].agg(["first", "nunique"])
        if (values["nunique"] > 1).any():
            count = int((values["nunique"] > 1).sum())
            raise DataError(
                f"codings: column {source!r} differs between rows of one incident for {count} "
                f"incidents. Give each incident one {what}."
            )
        series = values["first"]
    else:
        series = pd.Series(source)
        series.index = series.index.astype(str)
    absent = ~table["incident_id"].isin(series.dropna().index)
    if absent.any():
        raise DataError(
            f"{int(table.loc[absent, 'incident_id'].nunique())} coded incidents have no {what}. "
            f"Give one for every incident in codings."
        )
    return series


def agreement_table(
    codings: pd.DataFrame,
    *,
    by: str | None = None,
    clusters: Any = None,
    inclusion_probability: Any = None,
    lengths: Any = None,
    confidence: float = 0.95,
    interval: str = "score",
    n_boot: int = 2000,
    random_state: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """Return the agreement of coders per category and overall, one row a coefficient.

    Per category: percent, positive and negative agreement, AC1, alpha, Fleiss', Conger's and
    Brennan–Prediger's coefficient on presence, and ordinal alpha on severity where two coders gave
    one. Overall: the same with all decisions taken together, where standard errors are by incident
    (or cluster), because one narrative's decisions go together; alpha over the sets of categories
    with MASI and Jaccard distance; and unitizing alpha of evidence spans where `lengths` are given.

    Parameters
    ----------
    codings : DataFrame
        The `codings` table, several rows of one decision (one for each evidence span) allowed.
    by : str, optional
        A column of `codings`; the table is made for each of its values, in a column of that name.
    clusters : str or Series, optional
        Cluster of each incident (its agency): a column of `codings` or a Series by `incident_id`.
    inclusion_probability : str or Series, optional
        Probability with which each incident was drawn for double coding, likewise.
    lengths : Series or mapping, optional
        Number of characters of each narrative by `incident_id`, for evidence spans. Only incidents
        coded by all coders enter.
    confidence, interval, n_boot, random_state : optional
        See `AgreementOptions`.

    Returns
    -------
    pandas.DataFrame
        With `category` ("(overall)" for all), `coefficient`, `estimate`, `std_error`, `conf_low`,
        `conf_high`, `prevalence`, `prevalence_index`, `bias_index`, `observed`, `n_units`,
        `n_coders`, `n_ratings`, `n_clusters`, `interval`, `confidence` and `note`.

    Raises
    ------
    DataError
        If the table or an option cannot be used.
    """
    generator = check_random_state(random_state)
    spans = check_table(codings, "codings")
    table = read_codings(codings)
    options: AgreementOptions = {
        "confidence": confidence,
        "interval": interval,
        "n_boot": n_boot,
        "random_state": generator,
    }
    groups = _per_incident(table, clusters, "cluster")
    probability = _per_incident(table, inclusion_probability, "inclusion_probability")
    if by is None:
        parts: list[tuple[Any, pd.DataFrame]] = [(None, table)]
    else:
        check_columns(table.columns, [by], source="codings")
        parts = [(value, rows) for value, rows in table.groupby(by, sort=True, dropna=False)]
    rows: list[dict[str, Any]] = []
    for value, part in parts:
        own = spans if by is None else spans[spans["incident_id"].isin(part["incident_id"])]
        for category, result in _agreement_rows(part, own, groups, probability, lengths, options):
            row = {"category": category, **result.to_dict()}
            rows.append(row if by is None else {by: value, **row})
    columns = TABLE_COLUMNS if by is None else [by, *TABLE_COLUMNS]
    return pd.DataFrame(rows, columns=columns)


def _agreement_rows(
    table: pd.DataFrame,
    spans: pd.DataFrame,
    clusters: pd.Series | None,
    probability: pd.Series | None,
    lengths: Any,
    options: AgreementOptions,
) -> Iterator[tuple[str, AgreementResult]]:
    for category, rows in table.groupby("category", sort=False):
        wide = pivot_codings(rows, "present")
        merged = _merge(options, _for_units(wide.index, clusters, probability))
        for result in _presence(wide, merged):
            yield str(category), result
        if "severity" in rows.columns and rows["severity"].notna().any():
            graded = pivot_codings(rows, "severity")
            merged = _merge(options, _for_units(graded.index, clusters, probability))
            result = krippendorff_alpha(graded, "ordinal", **merged)
            yield str(category), _renamed(result, "severity")
    if not len(table):
        return
    unit = table["incident_id"] + "\x1f" + table["category"]
    wide = pivot_codings(table.assign(_unit=unit), "present")
    incidents = pd.Index([text.split("\x1f")[0] for text in wide.index])
    extra = _for_units(incidents, clusters, probability)
    extra.setdefault("clusters", incidents.to_numpy())
    for result in _presence(wide, _merge(options, extra)):
        yield OVERALL, result
    sets = sets_from_codings(table)
    merged = _merge(options, _for_units(sets.index, clusters, probability))
    for distance in ("masi", "jaccard"):
        yield OVERALL, set_alpha(sets, distance, **merged)
    if lengths is not None:
        yield from _span_rows(table, spans, lengths, options)


def _renamed(result: AgreementResult, what: str) -> AgreementResult:
    fields = result.to_dict()
    fields["coefficient"] = f"{result.coefficient}, {what}"
    return AgreementResult(**fields)


def _for_units(
    incidents: pd.Index, clusters: pd.Series | None, probability: pd.Series | None
) -> AgreementOptions:
    extra: AgreementOptions = {}
    if clusters is not None:
        extra["clusters"] = clusters.reindex(incidents).to_numpy()
    if probability is not None:
        extra["inclusion_probability"] = probability.reindex(incidents).to_numpy(dtype=float)
    return extra


def _merge(options: AgreementOptions, extra: AgreementOptions) -> AgreementOptions:
    merged: AgreementOptions = {**options, **extra}
    return merged


def _presence(wide: pd.DataFrame, options: AgreementOptions) -> Iterator[AgreementResult]:
    options = _merge(options, {"categories": [0, 1]})
    yield percent_agreement(wide, **options)
    yield from specific_agreement(wide, **options)
    yield gwet_ac(wide, **options)
    yield krippendorff_alpha(wide, **options)
    yield fleiss_kappa(wide, **options)
    yield conger_kappa(wide, **options)
    yield brennan_prediger(wide, **options)


def _span_rows(
    table: pd.DataFrame, spans: pd.DataFrame, lengths: Any, options: AgreementOptions
) -> Iterator[tuple[str, AgreementResult]]:
    check_columns(spans.columns, ["evidence_start", "evidence_end"], source="codings")
    coders = sorted(table["coder_id"].unique())
    seen = table.groupby("incident_id")["coder_id"].nunique()
    common = seen.index[seen == len(coders)]
    texts = pd.Series(lengths)
    texts.index = texts.index.astype(str)
    absent = int((~common.isin(texts.index)).sum())
    if absent:
        raise DataError(f"lengths: {absent} coded incidents have no length. Give one for each.")
    if not len(common):
        note = "No incident was coded by all coders, so agreement on spans is not defined."
        yield OVERALL, AgreementResult("unitizing alpha", float("nan"), note=note)
        return
    marked = spans[spans["present"] & spans["incident_id"].isin(common)]
    result = unitizing_alpha(
        marked[["incident_id", "coder_id", "category", "evidence_start", "evidence_end"]],
        texts.loc[common],
        coders=coders,
        confidence=options["confidence"],
        n_boot=options["n_boot"],
        random_state=options["random_state"],
    )
    yield OVERALL, result
    yield from result.by_category.items()

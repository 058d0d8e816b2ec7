"""Prevalence of categories among reported incidents, corrected for classifier error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import (
    DataError,
    check_choice,
    check_fraction,
    check_random_state,
)
from boundary_research._tables import ESTIMATORS
from boundary_research.inference._alignment import Codes, align_codes, match_incidents
from boundary_research.inference._counts import check_min_cell
from boundary_research.inference._fitting import aggregate, fit
from boundary_research.inference._grouping import (
    OWN_COLUMNS,
    attribute_matrix,
    check_fold_clusters,
    cluster_columns,
    incident_column,
    split_groups,
)
from boundary_research.inference._inputs import Sample, as_numbers, check_clusters
from boundary_research.inference._options import TARGETS, say_target
from boundary_research.inference._simultaneous import correlation_of, joint_quantile
from boundary_research.inference._variance import SMALL_SAMPLE, SamplingDesign, infer
from boundary_research.inference.crossfit import PREDICTIONS, augment_codes

ESTIMAND = "share of reported incidents"
FEW = 5  # gold codes of a kind below which a note is given


def prevalence(
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    by: str | Sequence[str] | pd.Series | None = None,
    incidents: pd.DataFrame | None = None,
    weights: str | pd.Series | None = None,
    clusters: str | Sequence[str] | pd.Series | None = "auto",
    estimators: Sequence[str] = ("naive", "gold_only", "dsl", "ppi"),
    categories: Sequence[str] | None = None,
    predictions: str = "predicted",
    attributes: str | Sequence[str] | None = None,
    simultaneous: bool = False,
    conf_level: float = 0.95,
    small_sample: str = "auto",
    finite_population: bool = False,
    trained_on_gold: bool | None = None,
    min_cell: int = 5,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return the share of reported incidents in each category, by each estimator.

    Incident reports are case-only data: the shares say what is reported, not how likely an incident
    is.

    Parameters
    ----------
    coded : pandas.DataFrame
        Model codes (table coded): every incident of the population, a row for each category. Column
        `predicted`, if there, is the prediction; else it is ``decision == "present"``, and for
        ``review`` a probability of at least 0.5.
    gold : pandas.DataFrame
        Gold codes with `inclusion_probability` (table gold); a column `stratum` without gaps is
        taken as the strata of a draw of fixed sizes, `cluster` as the units of a draw of clusters.
    by : column name(s) of `incidents`, or Series indexed by incident_id, optional
        Groups; shares are within groups.
    incidents : pandas.DataFrame, optional
        Needed where `by`, `weights` or `clusters` are column names. If given, it also says which
        incidents are meant.
    weights : column name or Series indexed by incident_id, optional
    clusters : column name(s) or Series indexed by incident_id, or None
        "auto" takes `agency_id` where `incidents` has it without gaps.
    estimators : sequence of {"naive", "gold_only", "dsl", "ppi", "rogan_gladen"}
    categories : sequence of str, optional
        By default all that both tables have.
    predictions : {"predicted", "probability", "augmented"}
        What dsl and ppi correct: the predicted code; the probability, which gives shorter intervals
        if it is calibrated; or a cross-fitted regression of the gold code on the probability and
        on attributes, which gives the shortest (see `augment_predictions`; with 75 gold codes of
        the rarer kind they covered 93-96%). naive always uses the predicted code.
    attributes : column name(s) of `incidents`, optional
        What "augmented" learns from beside the probability: attributes by which the model errs
        differently, such as the setting. (`risk_factors` takes those of its formula.)
    simultaneous : bool
        Limits that hold for all categories of a group and estimator at once (the largest of
        correlated t statistics, by simulation).
    finite_population : bool
        What the intervals are for. False: the process, that is what agencies and incidents like
        these bring about, in other years or places, too; how much the agencies differ is part of
        the uncertainty, and no coding of more narratives takes it away. True: these reported
        incidents alone, as for the share in a registry's own years; only the draw of the gold codes
        is then uncertain. `estimate` is the same, ``attrs["target"]`` says which it was.
    conf_level, small_sample
        See the module `boundary_research.inference.estimators`.
    trained_on_gold : bool, optional
        True if the model saw the gold codes: then `coded` must hold out-of-fold predictions and
        their `fold`. None finds out from the columns `fold` and `in_training`.
    min_cell : int
        Groups of fewer incidents are held back (with one more where a total would give them away).
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    pandas.DataFrame
        The estimates table, one row for each group, category and estimator, with the group columns
        and `n_gold_present` and `note` after its own. Limits are cut at 0 and 1; there is no
        hypothesis, so p-values are missing. ``attrs["estimand"]`` says what is estimated,
        ``attrs["clusters"]`` what errors are clustered by.

    Raises
    ------
    DataError
        If gold codes have no inclusion probability, or lie outside `coded`, or tables do not fit.
    """
    conf_level = check_fraction(conf_level, name="conf_level")
    min_cell = check_min_cell(min_cell)
    for name in estimators:
        check_choice(name, ESTIMATORS, name="estimator")
    check_choice(predictions, PREDICTIONS, name="predictions")
    check_choice(small_sample, SMALL_SAMPLE, name="small_sample")
    generator = check_random_state(random_state)
    codes = align_codes(
        coded,
        gold,
        trained_on_gold=trained_on_gold,
        categories=None if categories is None else list(categories),
    )
    if incidents is not None:
        codes, incidents = match_incidents(codes, incidents)
    row_weights = incident_column(weights, codes, incidents, name="weights")
    numbers = (
        np.ones(len(codes.ids))
        if row_weights is None
        else as_numbers(row_weights.to_numpy(), name="weights")
    )
    labels = cluster_columns(clusters, codes, incidents)
    if trained_on_gold is not False:
        check_fold_clusters(codes.fold, labels)
    X = attribute_matrix(attributes, codes, incidents)
    if predictions == "augmented":
        codes.probability = augment_codes(codes, X, labels, generator)
    elif X is not None:
        raise DataError('attributes are for predictions="augmented" alone. Leave them out.')
    parts = []
    for keys, keep, count, hidden in split_groups(by, codes, incidents, min_cell):
        part = codes if keep is None else codes.take(keep)
        here = np.ones(len(codes.ids), dtype=bool) if keep is None else keep
        frame = _shares(
            part,
            numbers[here],
            None if labels is None else labels[here],
            estimators,
            predictions,
            hidden,
            conf_level=conf_level,
            small_sample=small_sample,
            finite=finite_population,
            simultaneous=simultaneous,
            generator=generator,
        )
        frame["n_total"] = np.nan if hidden else count
        parts.append(frame.assign(**keys))
    table = pd.concat(parts, ignore_index=True)
    groups = [name for name in table.columns if name not in OWN_COLUMNS]
    table = table[[*OWN_COLUMNS, *groups]]
    estimand = say_target(ESTIMAND, finite_population)
    table.attrs["estimand"] = estimand + (f" within {', '.join(groups)}" if groups else "")
    table.attrs["target"] = TARGETS[bool(finite_population)]
    table.attrs["conf_level"] = conf_level
    table.attrs["clusters"] = [] if labels is None else list(labels.columns)
    table.attrs["notes"] = list(codes.notes)
    return table


def _shares(
    codes: Codes,
    weights: np.ndarray,
    labels: pd.DataFrame | None,
    estimators: Sequence[str],
    predictions: str,
    hidden: bool,
    *,
    conf_level: float,
    small_sample: str,
    finite: bool,
    simultaneous: bool,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Return the estimates of one group."""
    parts = []
    present = codes.gold.sum(axis=0)
    reason = ""
    if hidden:
        reason = "held back: few incidents"
    elif not len(codes.rows):
        reason = "no gold codes in this group"
    few_clusters = labels is not None and min(labels.nunique()) < 3
    for estimator in estimators:
        empty = hidden or (estimator != "naive" and not len(codes.rows))
        frame = pd.DataFrame({"category": codes.categories})
        frame["term"] = "share"
        frame["estimator"] = estimator
        for column in ("estimate", "std_error", "conf_low", "conf_high", "p_value", "p_adjusted"):
            frame[column] = np.nan
        frame["n_gold"] = 0 if estimator == "naive" else len(codes.rows)
        frame["n_clusters"] = len(codes.ids) if labels is None else labels.iloc[:, 0].nunique()
        frame["n_gold_present"] = present
        frame["note"] = reason if empty else ""
        if hidden:
            frame[["n_gold", "n_clusters", "n_gold_present"]] = np.nan
        elif not empty:
            sample = _sample(codes, weights, labels, predictions, estimator, few_clusters, finite)
            _fill(frame, sample, estimator, conf_level, small_sample, simultaneous, generator)
            if few_clusters and not (finite and estimator != "naive"):
                frame["note"] = "fewer than three clusters: rows taken as independent"
        parts.append(frame)
    table = pd.concat(parts, ignore_index=True)
    scarce = np.minimum(table["n_gold_present"], table["n_gold"] - table["n_gold_present"]) < FEW
    scarce &= (table["estimator"] != "naive") & (table["note"] == "")
    table.loc[scarce, "note"] = f"fewer than {FEW} gold codes of one kind: take limits as rough"
    return table


def _sample(
    codes: Codes,
    weights: np.ndarray,
    labels: pd.DataFrame | None,
    predictions: str,
    estimator: str,
    few_clusters: bool,
    finite: bool,
) -> Sample:
    """Return the arrays of one estimator, with no regressor but the intercept."""
    n = len(codes.ids)
    ways: list[np.ndarray] = []
    sizes: list[int] = []
    if labels is not None and not few_clusters:
        ways, sizes = check_clusters(tuple(labels[name] for name in labels.columns), n)
    guess = codes.predicted
    if predictions != "predicted" and estimator in ("dsl", "ppi"):
        guess = codes.probability
    return Sample(
        X=np.ones((n, 1)),
        predicted=guess,
        rows=codes.rows,
        gold=codes.gold,
        weights=weights,
        offset=np.zeros(n),
        labels=ways,
        design=SamplingDesign(
            probability=codes.inclusion_probability,
            n_total=n,
            sizes=sizes,
            gold_labels=[way[codes.rows] for way in ways],
            strata=None if estimator == "naive" else codes.strata,
            units=None if estimator == "naive" else codes.units,
            finite=finite and estimator != "naive",
        ),
    )


def _fill(
    frame: pd.DataFrame,
    sample: Sample,
    estimator: str,
    conf_level: float,
    small_sample: str,
    simultaneous: bool,
    generator: np.random.Generator,
) -> None:
    """Write estimates and limits into `frame`."""
    if estimator == "rogan_gladen":
        _fill_rogan_gladen(frame, sample, conf_level)
        return
    result = fit(sample, "ols", estimator, base=aggregate(sample))
    option = "CR2" if simultaneous and small_sample in ("auto", "wild") else small_sample
    uncertainty = infer(
        result.equations,
        result.b,
        result.jacobian,
        sample.design,
        small_sample=option,
        conf_level=conf_level,
        centring=result.centring,
        random_state=generator,
    )
    share, error = result.b[:, 0], uncertainty.std_error[:, 0]
    low, high = uncertainty.conf_low[:, 0], uncertainty.conf_high[:, 0]
    if simultaneous:
        critical = joint_quantile(correlation_of(result, sample), conf_level, generator)
        level = 2 * stats.norm.cdf(critical) - 1
        half = stats.t.ppf(0.5 + level / 2, uncertainty.df[:, 0]) * error
        low, high = share - half, share + half
    if estimator == "gold_only":
        low, high = _exact_at_the_edge(share, low, high, sample, conf_level)
    frame["estimate"], frame["std_error"] = share, error
    frame["conf_low"], frame["conf_high"] = np.clip(low, 0, 1), np.clip(high, 0, 1)


def _exact_at_the_edge(
    share: np.ndarray, low: np.ndarray, high: np.ndarray, sample: Sample, conf_level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return limits with Clopper-Pearson ones where no (or every) gold code is present.

    The count is the effective one, (Σ w)² / Σ w² (Korn and Graubard 1998).
    """
    weight = sample.weights[sample.rows] / sample.design.probability
    count = weight.sum() ** 2 / np.sum(weight**2)
    alpha = 1 - conf_level
    none, every = share <= 0, share >= 1
    high = np.where(none, stats.beta.ppf(1 - alpha / 2, 1, count), high)
    low = np.where(every, stats.beta.ppf(alpha / 2, count, 1), low)
    return low, high


def _fill_rogan_gladen(frame: pd.DataFrame, sample: Sample, conf_level: float) -> None:
    from boundary_research.inference.estimators import rogan_gladen

    n = len(sample.predicted)
    clusters = tuple(sample.labels[:2]) or None
    for k in frame.index:
        truth = np.full(n, np.nan)
        truth[sample.rows] = sample.gold[:, k]
        probability = np.full(n, np.nan)
        probability[sample.rows] = sample.design.probability
        try:
            result = rogan_gladen(
                sample.predicted[:, k],
                truth,
                probability,
                clusters=clusters,
                weights=sample.weights,
                conf_level=conf_level,
            )
        except DataError:
            frame.loc[k, "note"] = "no estimate: predictions no better than chance"
            continue
        frame.loc[k, ["estimate", "std_error"]] = result.estimate, result.std_error
        limits = np.clip([result.conf_low, result.conf_high], 0, 1)
        frame.loc[k, ["conf_low", "conf_high"]] = limits

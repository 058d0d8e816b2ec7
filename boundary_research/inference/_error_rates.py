"""Sensitivity and specificity of the predictions by group, and a test that they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import check_fraction, check_random_state
from boundary_research._intervals import wilson_interval
from boundary_research.inference._alignment import align_codes, match_incidents
from boundary_research.inference._counts import check_min_cell, held_back
from boundary_research.inference.multiple_testing import adjust_p_values
from boundary_research.inference.shares import cluster_columns

ALL = "all"
_RESAMPLES = 4_999
_FEWEST_EXPECTED = 5.0


def _effective_size(
    correct: np.ndarray, weight: np.ndarray, clusters: np.ndarray | None, conf_level: float
) -> tuple[float, float]:
    """Return the weighted share of `correct` and the n of a simple sample with its variance.

    The variance is that of a ratio, linearised, over rows or over clusters, and n is lowered for
    few clusters by the squared ratio of t quantiles (Korn and Graubard 1998, section 3). Where the
    variance is zero (all correct or all wrong), Kish's (Σw)² / Σw² stands in; one cluster alone
    tells nothing of it, and n is missing.
    """
    total = weight.sum()
    share = float(weight @ correct / total)
    score = weight * (correct - share) / total
    few = 1.0
    if clusters is not None:
        labels = np.unique(clusters, return_inverse=True)[1]
        score = np.bincount(labels, weights=score)
        if len(score) < 2:
            return share, np.nan
        quantile = 0.5 + conf_level / 2
        rows, groups = (stats.t.ppf(quantile, m - 1) for m in (max(len(correct), 2), len(score)))
        few = min(float(rows / groups) ** 2, 1.0)
    elif np.ptp(weight) == 0:
        return share, float(len(correct))
    count = len(score)
    variance = count / max(count - 1, 1) * float(score @ score)
    if share in (0.0, 1.0) or variance < 1e-15:
        return share, few * total**2 / float(weight @ weight)
    return share, few * min(share * (1 - share) / variance, float(len(correct)))


def _differ(
    correct: np.ndarray,
    group: np.ndarray,
    shares: np.ndarray,
    sizes: np.ndarray,
    n_clusters: int | None,
    simple: bool,
    generator: np.random.Generator,
) -> tuple[float, str]:
    """Return the p-value of equal shares in all groups, and the name of the test.

    Pearson's chi-squared on effective counts (the first-order correction of Rao and Scott 1984,
    group by group), referred to F with clusters minus groups degrees of freedom where rows are
    clustered; with a simple sample and small expected counts, a permutation test of it.
    """
    if len(sizes) < 2:
        return np.nan, ""
    pooled = float(shares @ sizes / sizes.sum())
    if pooled in (0.0, 1.0):
        return 1.0, "no variation"
    statistic = float(np.sum(sizes * (shares - pooled) ** 2) / (pooled * (1 - pooled)))
    few = sizes.min() * min(pooled, 1 - pooled) < _FEWEST_EXPECTED
    if simple and few:
        right = correct.sum()
        # Given both margins the counts are multivariate hypergeometric.
        counts = generator.multivariate_hypergeometric(
            np.bincount(group).astype(int), int(right), size=_RESAMPLES
        )
        drawn = np.sum(sizes * (counts / sizes - pooled) ** 2, axis=1) / (pooled * (1 - pooled))
        reached = np.count_nonzero(drawn >= statistic * (1 - 1e-9))
        return (reached + 1) / (_RESAMPLES + 1), "permutation"
    if n_clusters is not None:
        df = max(n_clusters - len(sizes), 1)
        return float(stats.f.sf(statistic / (len(sizes) - 1), len(sizes) - 1, df)), "F, clustered"
    p_value = float(stats.chi2.sf(statistic, len(sizes) - 1))
    return p_value, "chi-squared" if simple else "chi-squared, effective counts"


def _rates(
    correct: np.ndarray,
    weight: np.ndarray,
    group: np.ndarray,
    levels: list[str],
    clusters: np.ndarray | None,
    conf_level: float,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Return the share correct in all rows and in each group, with the test of a difference."""
    rows = []
    for level in [ALL, *levels]:
        keep = np.ones(len(group), dtype=bool) if level == ALL else group == levels.index(level)
        n = int(keep.sum())
        share, size = np.nan, 0.0
        if n:
            labels = None if clusters is None else clusters[keep]
            share, size = _effective_size(correct[keep], weight[keep], labels, conf_level)
        rows.append((level, share, n, int(correct[keep].sum()), size))
    table = pd.DataFrame(rows, columns=["group", "estimate", "n_gold", "n_correct", "n_effective"])
    there = (table["n_gold"] > 0) & table["n_effective"].notna()
    table["conf_low"] = table["conf_high"] = np.nan
    low, high = wilson_interval(
        table.loc[there, "estimate"], table.loc[there, "n_effective"], conf_level
    )
    table.loc[there, "conf_low"], table.loc[there, "conf_high"] = low, high
    own = table[there & (table["group"] != ALL)]
    simple = clusters is None and np.ptp(weight) == 0
    known = np.isin(np.array(levels)[group], own["group"])
    table["p_value"], table["test"] = _differ(
        correct[known],
        np.unique(group[known], return_inverse=True)[1],
        own["estimate"].to_numpy(),
        own["n_effective"].to_numpy(),
        None if clusters is None else len(np.unique(clusters[known])),
        simple,
        generator,
    )
    return table


def error_by_group(
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    incidents: pd.DataFrame,
    *,
    by: str,
    categories: list[str] | None = None,
    clusters: str | list[str] | pd.Series | None = "auto",
    conf_level: float = 0.95,
    min_cell: int = 5,
    adjust: str | None = "holm",
    trained_on_gold: bool | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return sensitivity and specificity in each group, and test whether they differ.

    An error that differs by group (differential error) biases a naive comparison of the groups in
    either direction; one that is the same everywhere mostly shrinks it.

    Parameters
    ----------
    coded, gold, incidents : pandas.DataFrame
        See `prevalence`; only incidents with gold codes count.
    by : str
        Column of `incidents`, the setting, say.
    categories : list of str, optional
    clusters : column name of `incidents`, Series indexed by incident_id, or None
        "auto" takes `agency_id` where it is there without gaps.
    conf_level : float
    min_cell : int
        A rate from fewer gold incidents than this is held back, and one more where a total would
        give it away.
    adjust : {"bh", "by", "holm", "bonferroni"} or None
        For the tests: two for each category.
    trained_on_gold : bool, optional
    random_state : int, numpy.random.Generator or None
        For the permutation test.

    Returns
    -------
    pandas.DataFrame
        One row for each category, measure ("sensitivity", "specificity") and group ("all" first):
        `category`, `by`, `group`, `measure`, `estimate`, `conf_low`, `conf_high`, `n_gold` (gold
        incidents in which the category is present, or absent), `n_effective`, `p_value`,
        `p_adjusted`, `test` (of a difference between groups; the same in all rows of a measure) and
        `note`.

    Notes
    -----
    Rates are weighted by 1 / π. Limits are Wilson's, with the effective sample size
    p (1 - p) / Var(p) where weights differ or rows are clustered (Korn and Graubard 1998, Surv
    Methodol 24:193-201; Franco and others 2019). The test is Pearson's chi-squared on effective
    counts (F where rows are clustered), and by permutation where an expected count is below five in
    a simple random sample.
    """
    conf_level = check_fraction(conf_level, name="conf_level")
    min_cell = check_min_cell(min_cell)
    generator = check_random_state(random_state)
    codes = align_codes(coded, gold, trained_on_gold=trained_on_gold, categories=categories)
    codes, incidents = match_incidents(codes, incidents)
    frame = cluster_columns(by, codes, incidents)
    assert frame is not None
    group = frame.iloc[:, 0].astype(object)
    ordered = isinstance(incidents[by].dtype, pd.CategoricalDtype)
    group = group.where(group.notna(), "not_stated").astype(str).to_numpy()[codes.rows]
    found = set(group)
    order = [str(v) for v in incidents[by].cat.categories] if ordered else sorted(found)
    levels = [level for level in order if level in found]
    levels += sorted(found - set(levels))
    position = np.array([levels.index(level) for level in group])
    labels = cluster_columns(clusters, codes, incidents)
    cluster = None
    if labels is not None:
        cluster = pd.factorize(labels.iloc[:, 0])[0][codes.rows]
    weight = 1 / codes.inclusion_probability
    parts = []
    for k, category in enumerate(codes.categories):
        truth = codes.gold[:, k] == 1
        right = codes.predicted[codes.rows, k] == codes.gold[:, k]
        for measure, keep in (("sensitivity", truth), ("specificity", ~truth)):
            part = _rates(
                right[keep].astype(float),
                weight[keep],
                position[keep],
                levels,
                None if cluster is None else cluster[keep],
                conf_level,
                generator,
            )
            parts.append(part.assign(category=category, measure=measure))
    table = pd.concat(parts, ignore_index=True)
    table["by"], table["note"] = by, ""
    once = ~table.duplicated(["category", "measure"])
    adjusted = pd.Series(np.nan, index=table.index)
    adjusted[once] = adjust_p_values(table.loc[once, "p_value"], adjust)
    table["p_adjusted"] = adjusted.groupby([table["category"], table["measure"]]).transform("first")
    own = table["group"] != ALL
    hidden = (table["n_gold"] > 0) & (table["n_gold"] < min_cell) & ~own
    for _, rows in table[own].groupby(["category", "measure"]).groups.items():
        hidden.loc[rows] = held_back(table.loc[rows, "n_gold"], min_cell)
    numbers = ["estimate", "conf_low", "conf_high", "n_gold", "n_effective"]
    table[numbers] = table[numbers].astype(float)
    table.loc[hidden, numbers] = np.nan
    table.loc[hidden, "note"] = "held back: few gold incidents"
    table.loc[table["n_gold"] == 0, "note"] = "no gold incidents"
    alone = table["n_effective"].isna() & table["estimate"].notna()
    table.loc[alone, "note"] = "one cluster: no interval"
    first = ["category", "by", "group", "measure", "estimate", "conf_low", "conf_high"]
    table = table[[*first, "n_gold", "n_effective", "p_value", "p_adjusted", "test", "note"]]
    table.attrs["conf_level"] = conf_level
    table.attrs["n_tests"] = int(table.loc[once, "p_value"].notna().sum())
    return table

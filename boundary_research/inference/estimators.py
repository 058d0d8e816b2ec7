"""Estimators for model-coded data, corrected with a probability sample of gold codes.

All take ``(X, predicted, gold, inclusion_probability, *, clusters=None, …)``: X of shape (n, p)
with its intercept column (means take no X), predictions for all n rows, gold codes with NaN where
there is none, and the probability π with which each row was drawn for human coding (one number if
it was the same for all; only those of gold rows are used, unless `rescale` is asked for).

Options that all estimators take
--------------------------------
clusters : array of length n, or two of them in a tuple, optional
    Rows in one cluster (an agency, a practitioner) may hang together.
weights : array of length n, optional
    Row weights, for means over another population than the rows.
strata : array of length n, optional
    Strata of a draw with fixed sizes; without it draws are taken as independent, which gives
    intervals that are a little too wide for a stratified draw. Only the gold rows' are used.
sampling_units : array of length n, optional
    Units that were drawn whole (all narratives of an agency, say).
finite_population : bool
    False: intervals are for the process that brought the rows about, and clusters count. True: the
    rows are all that is to be spoken of, as for a registry's own year; intervals are then for what
    gold codes of every row would give, only the draw of gold rows is random, clusters play no part,
    and where all rows are coded the error is zero. Coverage of both is in `benchmarks/coverage.py`.
rescale : bool
    Multiply π by (n_gold / n) / mean(π) first, as the R package dsl 0.1.0 does. By default π is
    used as given.
small_sample : {"none", "CR1", "CR2", "wild", "auto"}
    "none" is the plain sandwich. "CR2" is the bias-reduced one with Satterthwaite degrees of
    freedom; "wild" takes intervals and p-values from a wild cluster bootstrap; "auto" is "wild"
    below 20 clusters, then "CR2", and "CR1" above 250 clusters or without any.
conf_level : float
trained_on_gold : bool; fold : array of length n, optional
    If the classifier was trained on these gold rows, predictions must be out of fold and `fold`
    given; see `crossfit_predictions`. Anything else is refused.
random_state : int, numpy.random.Generator or None
    For the bootstrap alone.

Sources: Egami, Hinck, Stewart and Wei 2023 (arXiv 2306.04746), equations 4-6 and 9; Angelopoulos,
Duchi and Zrnic 2023 (arXiv 2311.01453), sections 2-6; Zrnic and Candès 2024 (arXiv 2403.03208) for
unequal π; Särndal, Swensson and Wretman 1992, chapter 6 (the difference estimator, which
`dsl_mean` is); Rogan and Gladen 1978.
"""

from __future__ import annotations

from boundary_research.inference._design_based import dsl_logit, dsl_mean, dsl_ols, dsl_poisson
from boundary_research.inference._gold_only import (
    gold_only_logit,
    gold_only_ols,
    gold_only_poisson,
    hajek_mean,
    ht_mean,
)
from boundary_research.inference._multinomial import dsl_multinomial, ppi_multinomial
from boundary_research.inference._prediction_powered import ppi_logit, ppi_mean, ppi_ols
from boundary_research.inference._rogan_gladen import rogan_gladen

__all__ = [
    "dsl_logit",
    "dsl_mean",
    "dsl_multinomial",
    "dsl_ols",
    "dsl_poisson",
    "gold_only_logit",
    "gold_only_ols",
    "gold_only_poisson",
    "hajek_mean",
    "ht_mean",
    "ppi_logit",
    "ppi_mean",
    "ppi_multinomial",
    "ppi_ols",
    "rogan_gladen",
]

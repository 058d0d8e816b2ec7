"""The methods of classification and estimation in prose, from what was actually run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.inference._variance import choose_small_sample
from boundary_research.study.references import cite
from boundary_research.study.report_parts import list_words
from boundary_research.study.report_words import (
    category_labels,
    effect_column,
    find_analyses,
    find_analysis,
    in_words,
    list_terms,
)

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

_VARIANCES = {
    "wild": "Intervals are from the wild cluster bootstrap with the null imposed {wild}, because "
    "there are few clusters.",
    "CR2": "Intervals rest on the bias-reduced (CR2) sandwich variance with Satterthwaite degrees "
    "of freedom {cr2}.",
    "CR1": "Intervals rest on the sandwich variance {cr1} with the usual small-sample factor.",
}
_ADJUSTMENTS = {
    "bh": "to control the false discovery rate",
    "by": "to control the false discovery rate under any dependence of the tests",
    "holm": "to control the chance of any false positive",
    "bonferroni": "to control the chance of any false positive",
}
_METHOD_NAMES = {
    "bh": "Benjamini–Hochberg",
    "by": "Benjamini–Yekutieli",
    "holm": "Holm's",
    "bonferroni": "Bonferroni",
}


def describe_classifier(run: StudyRun) -> str:
    """Return how the classifier was made and its errors measured."""
    part, model = run.plan.classifier, run.model
    told = ""
    if isinstance(model, NarrativeClassifier):
        told = _describe_model(model)
        if "evidence" in run.plan.gold and part["train_on"] == "gold" and model.evidence_weight:
            told += (
                "Passages that coders had marked as evidence were learned from as short examples. "
            )
    elif isinstance(model, CombinedClassifier):
        told = (
            f"The classifier averaged the log-odds of {len(model.members_)} models that read a "
            f"text in different ways, and the mean was calibrated on narratives that none of them "
            f"had learned from. "
        )
    if part["train_on"] == "gold":
        kept = (
            f", with all narratives of one {_entity(part['groups'])} in the same fold"
            if part.get("groups")
            else ""
        )
        told += (
            f"The model was trained on the coded sample and cross-fitted: all narratives were "
            f"dealt to "
            f"{part['folds']} folds{kept}, and those of a fold were coded by a model trained on "
            f"the "
            f"coded narratives of the other folds, so that no code rests on a model that had "
            f"seen it. "
        )
    elif part["train_on"] == "bundled":
        told += (
            "The model was trained on the toolkit's bundled fictional corpus, not on this study's "
            "narratives. "
        )
    else:
        told += f"The model was read from a file ({part['train_on'].name}) and not trained again. "
    unit = f"by {_entity(part['groups'])}" if part.get("groups") else "narratives"
    return told + (
        f"Precision, recall and F1 were measured on the coded sample, with Wilson intervals at the "
        f"effective sample size that a bootstrap (resampling {unit}) found; they describe the "
        f"sample and are not weighted."
    )


def _describe_model(model: NarrativeClassifier) -> str:
    blocks = []
    for unit, span in (("word", model.words), ("character", model.characters)):
        if span is not None:
            blocks.append(f"{unit} {span[0]}- to {span[1]}-grams")
    part = model.ratio_share
    by = "|r|" if part == 1 else f"{1 - part:g} + {part:g} |r|"
    ratio = f"r their naive-Bayes log-count ratio {cite('nb')}"
    scaled = f", scaled by {by} with {ratio}" if part else ""
    return (
        f"Each category was given a logistic regression (L2 penalty, C = {model.C:g}) on the "
        f"TF-IDF of {list_words(blocks)}{scaled}; narratives with and without the category had "
        f"the same total weight. Probabilities were calibrated, and thresholds chosen for the "
        f"best expected F1, on scores from {model.cv}-fold cross-validation within the training "
        f"narratives. "
    )


def _entity(column: str) -> str:
    """Return what a column of ids stands for: agency for agency_id."""
    return in_words(column).removesuffix(" id")


def _clusters(table: pd.DataFrame, clusters: Any) -> str:
    n = int(table["n_clusters"].max())
    listed = [clusters] if isinstance(clusters, str) else list(clusters or [])
    kind = choose_small_sample("auto", [n] * len(listed))
    names = {"wild": cite("wild"), "cr2": cite("cr2"), "cr1": cite("cr1")}
    told = _VARIANCES[kind].format(**names)
    if not listed:
        return f"Reports were taken as independent of each other. {told}"
    what = list_words([_entity(name) for name in listed])
    return f"Standard errors are clustered by {what} ({n:,} clusters). {told}"


def describe_estimation(run: StudyRun) -> str:
    """Return how shares were estimated."""
    table = run.tables["prevalence"]
    groups = [in_words(name) for name in run.plan.prevalence["by"]]
    told = "We estimated the share of reported incidents in each category"
    told += f", overall and within groups by {list_words(groups)}, " if groups else " "
    told += "in several ways. The naive estimate takes the model's codes as true. "
    present = set(table["estimator"])
    if "gold_only" in present:
        told += "The gold-only estimate uses the coded sample alone, weighted. "
    if "dsl" in present:
        told += (
            f"Design-based supervised learning {cite('dsl')} takes the model's codes of all "
            f"reports and "
            f"subtracts their error, as measured on the coded sample and weighted by its design. "
        )
    if "ppi" in present:
        told += (
            f"Power-tuned prediction-powered inference, PPI++ {cite('ppi')}, does the same but "
            f"gives the "
            f"model's codes the weight that makes the interval shortest; it is the estimate "
            f"that the "
            f"text quotes. "
        )
    told += (
        "Both corrections are valid whatever the model's errors are, because the probabilities of "
        "the draw "
        "are known. "
        if {"dsl", "ppi"} <= present
        else ""
    )
    return told + _clusters(table, run.plan.prevalence.get("clusters"))


def describe_analysis(run: StudyRun, name: str) -> str:
    """Return how one analysis of risk factors was made."""
    table, plan = run.tables[name], find_analysis(run, name)
    effect, words = effect_column(table)
    model = {"odds_ratio": "logistic", "ratio": "Poisson", "estimate": "linear"}[effect]
    formula = f" ({plan['formula']})" if "formula" in plan else ""
    terms = list_terms(table)
    told = f"Each category was regressed on the attributes of the reports{formula} by a {model} "
    told += "regression. "
    shown = f"; they compare {list_words(terms)}" if 0 < len(terms) <= 4 else ""
    told += (
        f"Effects are {words}s{shown}. "
        if effect == "odds_ratio"
        else f"Effects are {words}{shown}. "
    )
    if plan.get("offset"):
        told += (
            f"The exposure behind each report entered as an offset ({in_words(plan['offset'])}). "
        )
    told += "The naive, gold-only and corrected estimates are those of the shares. "
    penalties = {str(value) for value in table["penalty"].dropna() if value}
    if any("logf" in value for value in penalties):
        told += (
            f"Categories with few coded cases in a group were fitted with a weak log-F(1, 1) prior "
            f"{cite('logf')}. "
        )
    if any("firth" in value for value in penalties):
        told += f"Firth's penalty {cite('firth')} was used. "
    control = run.plan.negative_control
    if control:
        labels = category_labels(run)
        told += (
            f"Beforehand, {labels.get(control['category'], control['category'])} was named as a "
        )
        told += "negative control, in which no association was expected"
        told += f" ({control['reason'].rstrip('.')}). " if "reason" in control else ". "
    if not plan:
        told += "This analysis was made beside the plan. "
    clusters = plan.get("clusters", run.plan.prevalence.get("clusters"))
    told += _clusters(table, clusters) + " "
    return told + _testing(run, table, plan)


def _testing(run: StudyRun, table: pd.DataFrame, plan: dict[str, Any]) -> str:
    n = int(table["n_tests"].max())
    method = plan.get("adjust")
    if method is None:
        return f"{n} tests were made; their p-values are not adjusted."
    told = (
        f"P-values of the {n} tests (every category and term, for each estimator) were adjusted "
        f"by the "
        f"{_METHOD_NAMES[method]} method {cite(method)} {_ADJUSTMENTS[method]}."
    )
    family = run.plan.multiple_testing.get("family")
    return told + (f" The family of tests was planned as: {family.rstrip('.')}." if family else "")


def describe_missing(run: StudyRun) -> str:
    """Return what was done about attributes that are not stated."""
    analyses = find_analyses(run.tables)
    told = "Attributes that a report does not state are kept as not stated, never as absent. "
    ways = {way for table in analyses.values() for way in table["missing"].dropna()}
    if "multiple_imputation" in ways:
        whole = len(run.loaded.incidents)
        rows = [t.loc[t["missing"] == "complete_case", "n_total"].max() for t in analyses.values()]
        counts = [f"{int(n):,}" for n in rows if pd.notna(n)]
        of = f" ({list_words(counts)} of {whole:,})" if counts else ""
        told += (
            f"Regressions were fitted to reports with all attributes stated{of} and, beside "
            f"that, to "
            f"all reports after multiple imputation by chained equations {cite('mice')}, pooled by "
            f"Rubin's rules {cite('rubin')}. "
        )
    elif analyses:
        told += "Reports with an attribute that is not stated were left out of regressions. "
    return told + (f"As planned: {run.plan.missing_data}" if run.plan.missing_data else "")

"""Limitations that fit the design of a study, found from its plan and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boundary_research.coding._agreement_tables import OVERALL
from boundary_research.study.report_parts import Section, list_words
from boundary_research.study.report_words import (
    category_labels,
    find_analyses,
    in_words,
    plural,
)

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

FEW_CODES = 10  # gold codes of a category below which its estimates say little
FEW_CLUSTERS = 50  # clusters below which intervals depend on small-sample corrections
WEAK = 0.667  # alpha below which Krippendorff (2004, p. 241) draws no conclusions
POOR_F1 = 0.5


def list_limitations(run: StudyRun) -> list[str]:
    """Return what a reader must bear in mind, each with the figures of this study.

    Parameters
    ----------
    run : StudyRun

    Returns
    -------
    list of str
        The notice of the plan first; then what follows from the data, the coders, the sample and
        the model, each only where it applies.
    """
    found = [run.plan.notice] if run.plan.notice else []
    found += _case_only(run)
    found += _coders(run)
    found += _small_numbers(run)
    found += _model(run)
    if find_analyses(run.tables):
        found.append(
            "Associations were not adjusted for what the formula leaves out, and an association "
            "within reports is no effect."
        )
    if run.plan.registration is None:
        found.append(
            "The plan was not registered before the results; what was tried and left out cannot be "
            "seen from this report."
        )
    if run.plan.overturned_by:
        found.append(f"What would overturn the conclusion, by the plan: {run.plan.overturned_by}")
    return [" ".join(text.split()) for text in found]


def _case_only(run: StudyRun) -> list[str]:
    found = [
        "Case-only data: incidents that nobody noticed or reported are missing, and there are no "
        "denominators. Nothing here says how often incidents happen, or how likely they are.",
        "Reporting: groups may differ in what they notice and report. A difference between "
        "shares may "
        "be a difference in reporting, and a category's share falls when others are reported more.",
        "Narratives are one side's account, written for a purpose; that a category is coded "
        "means that "
        "it is described, not that it was proven.",
    ]
    if run.plan.prevalence["by"] or find_analyses(run.tables):
        found.append(
            "Belonging to a group, such as living or working in a small community, is exposure to "
            "circumstances (overlapping roles, for one) and no fault."
        )
    return found


def _coders(run: StudyRun) -> list[str]:
    found = []
    kinds = {coder["kind"] for coder in run.plan.coders}
    if "language_model" in kinds:
        found.append(
            "Language models coded narratives whose codes are taken as the truth here. Models make "
            "errors in common, so that their agreement is higher than their accuracy warrants, "
            "and the "
            "correction takes their errors as truth. Codes of people on a part of the sample "
            "are needed "
            "before anything is concluded."
        )
    elif not run.plan.coders:
        found.append("The plan does not say who the coders were or how they were trained.")
    if "reliability" not in run.tables:
        found.append(
            "Agreement between coders was not measured, so that errors of coding are unknown."
        )
        return [*found, _shared_errors()]
    table, labels = run.tables["reliability"], category_labels(run)
    alpha = table[
        (table["coefficient"] == "Krippendorff's alpha, nominal") & (table["category"] != OVERALL)
    ]
    weak = alpha[alpha["estimate"] < WEAK]
    if len(weak):
        names = list_words([labels.get(name, name) for name in weak["category"]])
        found.append(
            f"Agreement was low (alpha below {WEAK:g}) for {names}; conclusions about "
            f"{'them' if len(weak) > 1 else 'it'} do not hold."
        )
    return [*found, _shared_errors()]


def _shared_errors() -> str:
    return (
        "The correction removes the model's departures from the gold codes, not errors of the gold "
        "codes themselves: what all coders get wrong stays in."
    )


def _entities(clusters: str | list[str]) -> str:
    names = [clusters] if isinstance(clusters, str) else list(clusters)
    return list_words([plural(in_words(name).removesuffix(" id")) for name in names])


def _small_numbers(run: StudyRun) -> list[str]:
    found, labels = [], category_labels(run)
    counts = run.gold.groupby("category")["present"].sum()
    few = [labels.get(name, name) for name in counts.index[counts < FEW_CODES]]
    if few:
        found.append(
            f"Small numbers: fewer than {FEW_CODES} coded narratives show {list_words(few)}; their "
            f"estimates are imprecise and their intervals may cover less often than stated."
        )
    clusters = run.plan.prevalence.get("clusters")
    n = int(run.tables["prevalence"]["n_clusters"].max())
    if clusters and n < FEW_CLUSTERS:
        found.append(
            f"Few clusters: reports come from {n} clusters ({_entities(clusters)}). What one of "
            f"them does "
            f"differently weighs heavily, and intervals rest on small-sample corrections."
        )
    elif not clusters:
        found.append(
            "Reports were taken as independent. Where several come from one agency or "
            "practitioner, "
            "intervals are too narrow."
        )
    for group in run.plan.prevalence["by"]:
        table = run.tables[f"prevalence_by_{group}"].drop_duplicates(group)
        unknown = table.loc[table[group] == "not_stated", "n_total"]
        if len(unknown) and unknown.iloc[0] > 0:
            share = unknown.iloc[0] / len(run.loaded.incidents)
            found.append(
                f"For {share:.0%} of the reports {in_words(group)} is not stated. Whether they "
                f"are like "
                f"the others is not known."
            )
    return found


def _model(run: StudyRun) -> list[str]:
    table, labels = run.tables["metrics"], category_labels(run)
    f1 = table[(table["metric"] == "f1") & ~table["category"].str.startswith("(")]
    poor = f1[f1["estimate"] < POOR_F1]
    found = []
    if len(poor):
        n = len(f1)
        names = list_words([labels.get(name, name) for name in poor["category"]])
        which = f"{names}" if len(poor) <= 4 else f"{len(poor)} of {n} categories"
        found.append(
            f"The classifier is weak (F1 below {POOR_F1:g}) for {which}. Correction keeps "
            f"estimates "
            f"honest there, but adds little to the gold codes, and single narratives must not be "
            f"judged by the model's codes."
        )
    if run.plan.classifier["train_on"] == "bundled":
        found.append(
            "The classifier was trained on fictional narratives, unlike the ones that were coded."
        )
    return found


def limitations_section(run: StudyRun) -> Section:
    """Return the section on what may be claimed."""
    return Section(
        "limits", "Limitations: what may be claimed, and what not", bullets=list_limitations(run)
    )

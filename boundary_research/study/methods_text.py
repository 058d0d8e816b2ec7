"""The methods of a study in prose, written from its plan and from what was actually run."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pandas as pd

from boundary_research.coding._agreement_tables import OVERALL
from boundary_research.study.methods_of_analysis import (
    describe_analysis,
    describe_classifier,
    describe_estimation,
    describe_missing,
)
from boundary_research.study.plan_description import DESIGNS
from boundary_research.study.references import cite
from boundary_research.study.report_parts import Paragraph, ReportTable, Section, list_words
from boundary_research.study.report_words import (
    find_analyses,
    in_words,
)
from boundary_research.study.tables import interval, number

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

# What a coder is called, alone and as one of several.
KIND_NAMES = {
    "human": ("a person", "people"),
    "language_model": ("a large language model", "large language models"),
    "other": ("neither a person nor a language model", "neither people nor language models"),
}
SOFTWARE = (
    "boundary-research",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "formulaic",
    "matplotlib",
)
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def methods_section(run: StudyRun) -> Section:
    """Return the methods section: prose under headings that a journal would expect."""
    parts = [
        ("Design and data", _design(run)),
        ("Sample for hand coding", _sample(run)),
        ("Codebook and coders", _coders(run)),
        ("Agreement", _agreement(run)),
        ("Classifier", describe_classifier(run)),
        ("Shares and their correction", describe_estimation(run)),
        *[
            (_analysis_title(run, name), describe_analysis(run, name))
            for name in find_analyses(run.tables)
        ],
        ("Missing attributes", describe_missing(run)),
        ("Registration", _registration(run)),
        ("Software and reproducibility", _software(run)),
    ]
    paragraphs = []
    for heading, text in parts:
        if text:
            paragraphs += [Paragraph(heading, "heading"), Paragraph(text)]
    return Section("methods", "Methods", paragraphs, tables=_stratum_table(run))


def count_words(n: int) -> str:
    """Return a small count in words, a larger one in figures.

    Examples
    --------
    >>> count_words(2), count_words(1200)
    ('two', '1,200')
    """
    return _NUMBERS[n] if 0 <= n < len(_NUMBERS) else f"{n:,}"


def _design(run: StudyRun) -> str:
    plan, loaded = run.plan, run.loaded
    n, rejects = len(loaded.incidents), len(loaded.rejects)
    told = (
        f"This is an analysis of {n:,} reports of incidents, each with a narrative"
        f" ({loaded.source['file']}). "
    )
    if "only" in plan.incidents:
        told += f"They are those listed in {plan.incidents['only'].name}. "
    if rejects:
        told += (
            f"{rejects:,} rows could not be used (no narrative, no id, or an id twice) and were "
            f"set aside. "
        )
    else:
        told += "No row had to be set aside. "
    for name, rule in plan.incidents.get("recode", {}).items():
        levels = [
            f"{in_words(new)} ({list_words([in_words(old) for old in olds])})"
            for new, olds in rule["levels"].items()
        ]
        told += (
            f"The variable {in_words(name)} was made from {in_words(rule['from'])}: "
            f"{list_words(levels)}; all other reports count as not stated. "
        )
    return told + (
        "The data are case-only: they hold incidents that were noticed and reported, and no "
        "exposure "
        "or denominator. The quantity of interest is therefore the share of reported incidents "
        "that "
        "show a category, and how that share differs between groups of reports."
    )


def _probabilities(drawn: pd.DataFrame) -> str:
    low, high = drawn["inclusion_probability"].min(), drawn["inclusion_probability"].max()
    if low == high:
        return "certainty" if low == 1 else f"the same probability, {low:.3f}"
    return f"known probabilities of {low:.3f} to {high:.3f}"


def _sample(run: StudyRun) -> str:
    drawn = run.gold.drop_duplicates("incident_id")
    part = run.plan.sampling
    how = DESIGNS.get(part.get("design", "other"), "") if part else ""
    how = "" if part.get("design") in ("other", "all") else how
    told = f"{len(drawn):,} of the {len(run.loaded.incidents):,} narratives were "
    told += f"drawn for coding as {how}" if how else "taken for coding"
    if part.get("strata"):
        told += f" by {list_words([in_words(name) for name in part['strata']])}"
    if "allocation" in part:
        told += f" with {part['allocation']} allocation"
    told += f", each with {_probabilities(drawn)}"
    told += f" (seed of the draw: {part['seed']})" if "seed" in part else ""
    told += ". "
    if part.get("description"):
        told += part["description"].rstrip(". ") + ". "
    return told + (
        "Every estimate weights a coded narrative by the inverse of its probability of being drawn."
    )


def _stratum_table(run: StudyRun) -> list[ReportTable]:
    """Return the draw by stratum, in a list; an empty list where there are no strata."""
    drawn = run.gold.drop_duplicates("incident_id")
    if "stratum" not in drawn.columns or drawn["stratum"].nunique() < 2:
        return []
    rows = []
    for stratum, part in drawn.groupby("stratum", sort=True):
        chance = part["inclusion_probability"]
        low, high = f"{chance.min():.3f}", f"{chance.max():.3f}"
        stands = f"{(1 / chance).sum():,.0f}"
        rows.append(
            [in_words(stratum), f"{len(part):,}", low if low == high else f"{low}–{high}", stands]
        )
    return [
        ReportTable(
            "Sample for hand coding by stratum",
            ["stratum", "narratives drawn", "probability", "stand for"],
            rows,
            text_columns=("stratum",),
            name="sample",
        )
    ]


def _kinds(coders: list[dict[str, Any]]) -> str:
    kinds = list(dict.fromkeys(coder["kind"] for coder in coders))
    return list_words([KIND_NAMES[kind][len(coders) > 1 and len(kinds) == 1] for kind in kinds])


def _coders(run: StudyRun) -> str:
    book, plan = run.codebook, run.plan
    told = (
        f"Narratives were coded with the codebook “{book.name}” (version {book.version}, sha256 "
        f"{book.content_hash[:12]}), which has {len(book)} categories; a narrative may show "
        f"several "
        f"or none. "
    )
    coders = [coder for coder in plan.coders if coder["role"] == "coder"]
    chosen = plan.gold.get("coders")
    coders = [coder for coder in coders if not chosen or coder["id"] in chosen]
    judges = [coder for coder in plan.coders if coder["role"] == "adjudicator"]
    if coders:
        names = list_words([coder["id"] for coder in coders])
        one = len(coders) == 1
        told += (
            f"One coder ({names}), {_kinds(coders)}, coded the narratives. "
            if one
            else f"{count_words(len(coders)).capitalize()} coders ({names}) coded without seeing "
            f"each other's codes; they were {_kinds(coders)}. "
        )
        trained = list(dict.fromkeys(c["training"].rstrip(".") for c in coders if "training" in c))
        told += f"Preparation: {'; '.join(trained)}. " if trained else ""
    elif "reliability" in run.tables:
        n = int(run.tables["reliability"]["n_coders"].max())
        told += f"{count_words(n).capitalize()} coders took part; "
        told += "the plan does not say what they were. "
    else:
        told += "The plan does not say who coded. "
    if judges:
        names = list_words([judge["id"] for judge in judges])
        told += f"Where they differed, {names} decided ({_kinds(judges)}). "
    return told + _gold_sources(run)


def _gold_sources(run: StudyRun) -> str:
    if "source" not in run.gold.columns:
        return ""
    counts = run.gold["source"].value_counts()
    meaning = {
        "agreed": "were agreed on by the coders",
        "adjudicated": "were adjudicated",
        "single": "were made by one coder alone",
    }
    parts = [f"{counts[key]:,} {words}" for key, words in meaning.items() if counts.get(key, 0)]
    return (
        f"Of {len(run.gold):,} decisions (narrative × category), {list_words(parts)}."
        if parts
        else ""
    )


def _agreement(run: StudyRun) -> str:
    if "reliability" not in run.tables:
        return ""
    table = run.tables["reliability"]
    parts = []
    for name in ("Krippendorff's alpha, nominal", "Gwet's AC1"):
        rows = table[(table["category"] == OVERALL) & (table["coefficient"] == name)]
        if len(rows) and pd.notna(rows["estimate"].iloc[0]):
            one = rows.iloc[0]
            short = name.removesuffix(", nominal")
            ends = interval(one["conf_low"], one["conf_high"])
            parts.append(f"{short} {number(one['estimate'])} (95% interval {ends})")
    # The units of the row over all categories are decisions, not narratives.
    n = int(table.loc[table["category"] != OVERALL, "n_units"].max())
    told = f"Agreement was measured before adjudication on {n:,} narratives that were coded twice "
    told += "or more. "
    told += (
        f"We report percent agreement, Krippendorff's alpha {cite('alpha')} and AC1 "
        f"{cite('ac1')} for "
        f"each category, weighted by the inverse of the probability of the draw, with score "
        f"intervals "
        f"{cite('wilson')} at the effective number of narratives. "
    )
    return told + (f"Over all categories, {list_words(parts)}." if parts else "")


def _analysis_title(run: StudyRun, name: str) -> str:
    many = len(find_analyses(run.tables)) > 1
    return "Associations with attributes" + (f": {in_words(name)}" if many else "")


def _registration(run: StudyRun) -> str:
    kept = run.plan.registration
    if kept is None:
        return "The plan was not registered with a date before the results were seen."
    told = f"The plan was registered ({kept.when}; sha256 {kept.sha256[:12]})"
    there = "registration" in run.tables
    return told + ("; the section “Planned and run” shows what differs from it." if there else ".")


def _software(run: StudyRun) -> str:
    versions = list_words([f"{name} {metadata.version(name)}" for name in SOFTWARE])
    return (
        f"All steps were run by one command from a plan kept in one file. Python "
        f"{platform.python_version()} was used with {versions}. All random steps start from seed "
        f"{run.plan.seed}. Hashes of inputs, code and outputs, and all versions, are in "
        f"manifest.json "
        f"beside this report; boundary-research replicate runs the study again and compares "
        f"every number."
    )

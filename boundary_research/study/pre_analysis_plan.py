"""The pre-analysis plan of a study as a document: what its plan says, and what is to be written."""

from __future__ import annotations

from pathlib import Path

from boundary_research._checks import DataError, check_output_folder
from boundary_research._files import write_text
from boundary_research.study._templates import render_template
from boundary_research.study.plan import StudyPlan
from boundary_research.study.plan_description import (
    RATIOS,
    SHARES,
    describe_classifier,
    describe_coders,
    describe_comparison,
    describe_sampling,
    describe_tests,
)

DOCUMENT = "pre_analysis_plan.md"


def render_pre_analysis_plan(plan: StudyPlan) -> str:
    """Return the pre-analysis plan as Markdown: what study.yaml says, and what is to be written.

    The headings are those that reviewers and registries ask for; what the plan does not say stands
    there as a question in italics.
    """
    facts = plan.codebook_facts
    analyses = []
    for analysis in plan.analyses:
        more = "".join(
            f", {key} {analysis[key]}" for key in ("clusters", "offset") if key in analysis
        )
        reference = analysis.get("contrasts", {}).items()
        more += "".join(f", {name} against {level}" for name, level in reference)
        analyses.append(
            {
                "name": analysis["name"],
                "estimand": analysis.get("estimand", ""),
                "kind": RATIOS[analysis["family"]],
                "formula": analysis["formula"],
                "family": analysis["family"],
                "more": more,
            }
        )
    shares = plan.prevalence.get("estimand", SHARES).rstrip(".")
    shares += f"; by {', '.join(plan.prevalence['by'])}" if plan.prevalence["by"] else ""
    return render_template(
        "pre_analysis_plan.md.j2",
        plan=plan,
        shares=shares,
        analyses=analyses,
        incidents=plan.incidents["file"].name,
        sampling=describe_sampling(plan).rstrip("."),
        clusters=plan.prevalence.get("clusters", ""),
        codebook=f"{facts['id']} {facts['version']} (sha256 {facts['sha256'][:12]})",
        categories=facts["categories"],
        coders=describe_coders(plan),
        classifier=describe_classifier(plan),
        comparisons=[describe_comparison(one) for one in plan.comparisons],
        tests=describe_tests(plan).rstrip("."),
    )


def write_pre_analysis_plan(plan: StudyPlan, path: str | Path) -> Path:
    """Write the pre-analysis plan of a study, and refuse to overwrite a file.

    Raises
    ------
    DataError
        If the file exists (it may hold what somebody wrote).
    """
    file = Path(path).expanduser()
    if file.exists():
        raise DataError(f"{str(path)!r} exists, and may hold what you wrote. Name another file.")
    check_output_folder(file.parent)
    return write_text(file, render_pre_analysis_plan(plan))

"""The page that says whether a study came out again: verdict first, then claims, then numbers."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup, escape

from boundary_research.study._published_study import recorded_hash

if TYPE_CHECKING:
    from boundary_research.study._replication_outcome import Replication

_MOST = 300
_TONES = {
    "reproduced": "good",
    "within tolerance": "near",
    "differs": "bad",
    "missing": "bad",
    "added": "near",
}
_KINDS = {
    "results": "published results",
    "seed": "seed",
    "study": "study.yaml",
    "codebook": "codebook",
    "version": "version",
    "code": "code",
    "platform": "platform",
}
_TITLES = {
    "reliability": "Agreement of the coders",
    "metrics": "Errors of the classifier",
    "decisions": "Decisions of the classifier",
    "cooccurrence": "Categories that come together",
    "prevalence": "Shares of reported incidents",
    "risk_factors": "Risk factors",
    "registration": "Planned and run",
}


def _style() -> str:
    """Return the style of the study report, so that both pages look alike."""
    template = resources.files("boundary_research.study").joinpath("report_template.html")
    found = re.search(r"<style>(.*?)</style>", template.read_text("utf-8"), re.S)
    return found.group(1).strip() if found else ""


def _title(name: str) -> str:
    if name in _TITLES:
        return _TITLES[name]
    plain = name.removeprefix("prevalence_by_")
    return f"Shares by {plain.replace('_', ' ')}" if plain != name else name.replace("_", " ")


def _groups(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """Return claims by table and estimator, figures together."""
    drawn = claims["table"].str.startswith("figures/")
    titles = claims["table"].map(_title).where(~drawn, "Figures, by their plotted data")
    estimators = claims["row"].str.extract(r"(?:^|; )estimator=(\w+)", expand=False)
    titles = titles.where(estimators.isna(), titles + ", " + estimators.fillna(""))
    groups = []
    for title, part in claims.groupby(titles, sort=False):
        counts = part["verdict"].value_counts()
        told = [(verdict, f"{counts[verdict]:,}") for verdict in _TONES if verdict in counts]
        groups.append({"name": title, "told": told, "rows": list(part.itertuples())})
    return groups


def _soft(text: object) -> Markup:
    """Return text that may break after an underscore or equals sign, for narrow screens."""
    return Markup(re.sub("([_=])(?=[a-z])", r"\1<wbr>", str(escape(text))))


def _short(text: object) -> str:
    try:
        return f"{float(str(text)):.6g}"
    except ValueError:
        return str(text) or "–"


def _tolerance(row: Any) -> str:
    if row.verdict in ("missing", "added") or row.kind == "text" or pd.isna(row.tolerance):
        return "–"
    if row.tolerance == 0:
        return "exact"
    scale = "" if row.tolerance_scale == "linear" else f" ({row.tolerance_scale})"
    return f"±{row.tolerance:.2g}{scale}"


def _odd_numbers(numbers: pd.DataFrame) -> tuple[list[dict[str, str]], int]:
    """Return the numbers that are not the same, the worst first, and how many more there are."""
    order = {"missing": 0, "differs": 0, "added": 1, "within tolerance": 2}
    odd = numbers[numbers["verdict"] != "reproduced"]
    odd = odd.loc[odd["verdict"].map(order).sort_values(kind="stable").index]
    rows = [
        {
            "table": row.table,
            "row": "" if pd.isna(row.row) else row.row,
            "column": row.kind if pd.isna(row.column) else row.column,
            "published": "–" if pd.isna(row.published) else _short(row.published),
            "replicated": "–" if pd.isna(row.replicated) else _short(row.replicated),
            "tolerance": _tolerance(row),
            "verdict": row.verdict,
            "cause": row.cause,
        }
        for row in odd.head(_MOST).itertuples()
    ]
    return rows, max(len(odd) - _MOST, 0)


def _explain(replication: Replication) -> tuple[str, str]:
    """Return the tone of the verdict and what it means."""
    counts, kinds = replication.counts, set(replication.causes["kind"])
    seed = "seed" in kinds
    if "results" in kinds:
        return "bad", (
            "Published tables or plotted data are not as the run wrote them: they were changed "
            "after it."
        )
    if not replication.holds:
        if seed and kinds <= {"seed", "platform"} and not counts["missing"]:
            return "bad", (
                "The run used another seed. Every number that differs rests on random folds or "
                "draws, and came out beyond its tolerance: read it as a result that depends on "
                "the split. Numbers that rest on the inputs alone are the same."
            ) if _all_by_chance(replication) else (
                "The run used another seed, and numbers differ that do not depend on it."
            )
        return "bad", "The likely causes are named below, beside every claim."
    if counts["within tolerance"]:
        why = "another seed" if seed else "other versions of the packages that draw random numbers"
        return "near", (
            f"Random numbers were drawn anew ({why}); what moved did so by no more than chance "
            f"explains."
        )
    return "good", (
        "Counts and texts are the same, and every estimate agrees within rounding of the processor."
    )


def _all_by_chance(replication: Replication) -> bool:
    numbers = replication.numbers
    off = numbers["verdict"].isin(["differs", "missing"])
    return bool((numbers.loc[off, "origin"] != "inputs").all())


def _how(replication: Replication) -> list[str]:
    allowed = replication.tolerances
    return [
        "Every input was checked by its hash before anything ran; the study then ran in a clean "
        "folder, without anything cached.",
        f"Counts and texts must be the same; estimates agree within {allowed['relative']:g} of the "
        f"number or of its standard error.",
        f"Only where random numbers were drawn anew (another seed, or other versions of the "
        f"packages that draw them) may numbers move: limits of a bootstrap by "
        f"{allowed['draws']:g} Monte-Carlo standard errors, numbers behind the random folds of the "
        f"classifier or behind imputed values by {allowed['standard_errors']:g} published standard "
        f"errors. Two runs that lie one standard error apart would, reported together, widen the "
        f"interval by 12 %.",
        "Ratios are compared as logarithms, p-values as normal deviates, counts of what the model "
        "codes against the square root of the count.",
        "Every number stands in replication.csv, every claim in claims.csv, the new results in "
        "rerun/.",
    ]


def _software(replication: Replication) -> list[tuple[str, str, str]]:
    before, after = replication.published, replication.replicated
    rows = [
        (name.capitalize(), str(before.get(name, "–")), str(after.get(name, "–")))
        for name in ("python", "platform")
    ]
    packages = {**before.get("packages", {}), **after.get("packages", {})}
    for name in packages:
        pair = (one.get("packages", {}).get(name, "–") for one in (before, after))
        rows.append((name, *pair))
    return rows


def render_replication(replication: Replication) -> str:
    """Return the page of a replication as one HTML document without outside links."""
    template = resources.files("boundary_research.study").joinpath("replication_template.html")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["soft"] = _soft
    page = environment.from_string(template.read_text("utf-8"))
    tone, explained = _explain(replication)
    claims = replication.claims
    failed = claims[claims["verdict"].isin(["differs", "missing"])]
    odd, odd_more = _odd_numbers(replication.numbers)
    compared = replication.numbers["kind"].isin(["count", "estimate"])
    reasons = set(replication.numbers["cause"]) - {""}
    entries = replication.published["inputs"].items()
    return page.render(
        r=replication,
        style=_style(),
        tone=tone,
        explained=explained,
        tones=_TONES,
        kinds=_KINDS,
        counts=list(replication.counts.items()),
        n_numbers=int(compared.sum()),
        causes=list(replication.causes.itertuples()),
        failed=list(failed.head(_MOST).itertuples()),
        failed_more=max(len(failed) - _MOST, 0),
        groups=_groups(claims),
        odd=odd,
        odd_more=odd_more,
        one_cause=reasons.pop() if len(reasons) == 1 else "",
        how=_how(replication),
        inputs=[
            (name, entry.get("file", "") if isinstance(entry, dict) else "", recorded_hash(entry))
            for name, entry in entries
        ],
        software=_software(replication),
    )

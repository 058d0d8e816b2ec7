"""What comes of a replication: verdicts, counted and in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Replication:
    """What came of running a study again.

    Attributes
    ----------
    title, notice : str
        Of the study.
    source : str
        Name of the folder or archive.
    folder : pathlib.Path
        Where the verdicts were written.
    numbers : pandas.DataFrame
        One row a number of the published results; see `compare_results`, and `cause`.
    claims : pandas.DataFrame
        One row a claim: claim, replicated, verdict (reproduced, within tolerance, differs,
        missing), cause, table, row and how many of its numbers came out how.
    causes : pandas.DataFrame
        What differs between the two runs: kind, what, published, replicated.
    published, replicated : dict
        The two manifests.
    tolerances : dict
        As the comparison used them.
    remarks : list of str
        What was not compared, and why.
    """

    title: str
    notice: str
    source: str
    folder: Path
    numbers: pd.DataFrame
    claims: pd.DataFrame
    causes: pd.DataFrame
    published: dict[str, Any]
    replicated: dict[str, Any]
    tolerances: dict[str, float]
    remarks: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        names = ("reproduced", "within tolerance", "differs", "missing")
        return {name: int((self.claims["verdict"] == name).sum()) for name in names}

    @property
    def holds(self) -> bool:
        """Whether every claim was reproduced or came out within its tolerance."""
        altered = (self.causes["kind"] == "results").any()
        return not (self.counts["differs"] or self.counts["missing"] or altered)

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        counts, total = self.counts, len(self.claims)
        if total == 0:
            return "Nothing was compared: the published results hold no table."
        if counts["reproduced"] == total and self.holds:
            return f"All {total:,} claims were reproduced."
        words = {"differs": "different"}
        told = [f"{n:,} {words.get(name, name)}" for name, n in counts.items() if n]
        outcome = "Replicated" if self.holds else "Not replicated in full"
        return f"{outcome}: of {total:,} claims {', '.join(told)}."

    @property
    def summary(self) -> str:
        """The verdict, the causes and where to read more, as lines of text."""
        lines = [self.verdict]
        altered = self.causes[self.causes["kind"] == "results"]
        lines += [f"  changed after the run: {what}" for what in altered["what"]]
        failed = self.claims[self.claims["verdict"].isin(["differs", "missing"])]
        quoted = self.claims[self.claims["row"].str.contains("estimator=ppi(?:;|$)", na=False)]
        if len(failed) and len(quoted):
            held = quoted["verdict"].isin(["reproduced", "within tolerance"]).sum()
            lines.append(f"  of the {len(quoted):,} corrected (PPI++) estimates {held:,} hold")
        for cause, part in failed.groupby("cause", sort=False):
            lines.append(f"  {len(part):,} differ or are missing; likely cause: {cause}")
        for row in failed.head(3).itertuples():
            lines.append(f"    {row.claim}; now {row.replicated or 'not there'}")
        if len(failed) > 3:
            lines.append(f"    and {len(failed) - 3:,} more")
        near = self.claims[self.claims["verdict"] == "within tolerance"]
        for cause, part in near.groupby("cause", sort=False):
            lines.append(f"  {len(part):,} within tolerance; cause: {cause}")
        return "\n".join([*lines, f"  {self.folder / 'replication.html'}"])

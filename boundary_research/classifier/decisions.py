"""Coding: a model's decisions on a table of incidents, with probabilities and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from boundary_research._checks import DataError, check_columns, check_file
from boundary_research._files import write_table
from boundary_research._spreadsheets import guard_formula
from boundary_research._tables import as_bool, check_table
from boundary_research.classifier._prediction_columns import (
    read_probabilities,
    refuse_gaps,
    refuse_other_decisions,
)
from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.default_model import default_classifier
from boundary_research.classifier.evidence import EVIDENCE_COLUMNS
from boundary_research.classifier.fast_coding import FastCoder
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.corpus.incidents import REJECT_COLUMNS, LoadedIncidents

_CHUNK, _SLOW_CHUNK = 500, 100  # narratives: for models with and without a pass in C
_PROBABILITY, _DECISION = "_probability", "_decision"  # endings of columns of the wide table


@dataclass(frozen=True)
class CodedIncidents:
    """What `code` returns.

    Attributes
    ----------
    coded : pandas.DataFrame
        Long table: `incident_id`, `category`, `probability`, `predicted` (bool), `decision`
        (present, absent, review).
    evidence : pandas.DataFrame
        `incident_id`, `category`, `start`, `end` (characters of the narrative), `weight`.
    rejects : pandas.DataFrame
        Rows of the source that could not be used.
    categories : list of str
    unfamiliar : pandas.DataFrame
        `incident_id`, `reason`: narratives unlike those that the model was checked on, in
        ``length``, ``words`` or both. All their decisions are `review`.
    """

    coded: pd.DataFrame
    evidence: pd.DataFrame
    rejects: pd.DataFrame
    categories: list[str]
    unfamiliar: pd.DataFrame = field(default_factory=lambda: _list_unfamiliar([], []))

    def wide(self) -> pd.DataFrame:
        """Return one row an incident: `<id>` 0/1, `<id>_probability`, `<id>_decision`."""
        k = len(self.categories)
        columns: dict[str, np.ndarray] = {"incident_id": self.coded["incident_id"].to_numpy()[::k]}
        for j, category in enumerate(self.categories):
            part = self.coded.iloc[j::k]
            columns[category] = part["predicted"].to_numpy().astype(int)
            columns[category + _PROBABILITY] = part["probability"].to_numpy().round(4)
            columns[category + _DECISION] = part["decision"].to_numpy()
        return pd.DataFrame(columns)

    def write(self, folder: str | Path, *, format: str = "csv") -> list[Path]:
        """Write `coded`, `evidence`, `rejects` and `unfamiliar` into a folder; return the paths.

        A column `passage` of `evidence`, where there is one, is text of the narratives: in a CSV
        file an apostrophe stands before what a spreadsheet would run as a formula.
        """
        folder = Path(folder)
        evidence = self.evidence.assign(weight=self.evidence["weight"].round(4))
        if format == "csv" and "passage" in evidence:
            evidence["passage"] = evidence["passage"].map(guard_formula)
        tables = {"coded": self.wide(), "evidence": evidence, "rejects": self.rejects.astype("str")}
        tables["unfamiliar"] = self.unfamiliar
        return [write_table(table, folder / name, format=format) for name, table in tables.items()]


def code(
    incidents: pd.DataFrame | LoadedIncidents,
    classifier: NarrativeClassifier | CombinedClassifier | None = None,
    *,
    evidence: bool = True,
    progress: bool = False,
    chunk_size: int | None = None,
) -> CodedIncidents:
    """Code narratives with a classifier.

    Parameters
    ----------
    incidents : DataFrame or LoadedIncidents
        With `incident_id` (unique) and `narrative`.
    classifier : NarrativeClassifier or CombinedClassifier, optional
        By default the one trained on the bundled fictional corpus; it has not seen your kind of
        text, so double-code a probability sample and correct with `prevalence` and `risk_factors`.
        ``default_classifier(fast=True)`` codes hundreds of times as many narratives a second,
        less accurately.
    evidence : bool
        Find the clauses that speak for each category coded 1 (`predicted`). A decision `review`
        on a category that is not coded 1 has none; `locate_evidence` finds them for any cells.
    progress : bool
        Show a progress bar.
    chunk_size : int, optional
        Narratives at a time, after which the progress bar moves; by default some seconds' work.
        Results do not depend on it.

    Returns
    -------
    CodedIncidents

    Raises
    ------
    DataError
        If columns are missing or ids repeat.
    """
    rejects = pd.DataFrame(columns=REJECT_COLUMNS)
    if isinstance(incidents, LoadedIncidents):
        incidents, rejects = incidents.incidents, incidents.rejects
    table = check_table(incidents, "incidents")
    model = classifier if classifier is not None else default_classifier()
    ids, texts = table["incident_id"].tolist(), table["narrative"].tolist()
    coder = FastCoder(model)
    chunk_size = chunk_size or (_CHUNK if coder.fused else _SLOW_CHUNK)
    categories = [str(name) for name in model.classes_]
    probabilities = np.zeros((len(texts), len(categories)))
    found: list[tuple[str, str, int, int, float]] = []
    with tqdm(total=len(texts), unit=" narratives", disable=not progress) as bar:
        for low in range(0, len(texts), chunk_size):
            part = texts[low : low + chunk_size]
            chunk = coder.predict_proba(part)
            probabilities[low : low + len(part)] = chunk
            if evidence:
                found += _locate(coder, part, ids[low:], chunk >= model.thresholds_)
            bar.update(len(part))
    decisions = model.decide(probabilities)
    # What the model says of them was never checked.
    reasons = model.find_unfamiliar(texts)
    decisions[np.array(reasons, dtype=bool)] = "review"
    coded = tabulate(
        ids,
        categories,
        probabilities,
        probabilities >= model.thresholds_,
        decisions,
    )
    located = pd.DataFrame(found, columns=EVIDENCE_COLUMNS)
    return CodedIncidents(coded, located, rejects, categories, _list_unfamiliar(ids, reasons))


def _list_unfamiliar(ids: Sequence[str], reasons: Sequence[str]) -> pd.DataFrame:
    rows = [(one, reason) for one, reason in zip(ids, reasons, strict=True) if reason]
    return pd.DataFrame(rows, columns=["incident_id", "reason"], dtype="str")


def read_coded(path: str | Path) -> pd.DataFrame:
    """Read a ``coded.csv`` or ``coded.parquet`` back as the long table that estimates need.

    Parameters
    ----------
    path : str or pathlib.Path
        A file that `CodedIncidents.write` (or the command ``code``) wrote: a column for each
        category, with its ``_probability`` and ``_decision``.

    Returns
    -------
    DataFrame
        `incident_id`, `category`, `probability`, `predicted`, `decision`.

    Raises
    ------
    DataError
        If the file is not such a table.
    """
    file = check_file(path, what="Coded table")
    try:
        if file.suffix == ".parquet":
            wide = pd.read_parquet(file)
        else:
            wide = pd.read_csv(file, dtype={"incident_id": "str"})  # else 007 becomes 7
    except (ValueError, OSError) as error:
        raise DataError(
            f"{file.name!r} cannot be read as a table ({type(error).__name__})."
        ) from None
    return lengthen_coded(wide, source=file.name)


def is_coded(table: pd.DataFrame) -> bool:
    """Return whether a table has the columns of a ``coded.csv`` for at least one category."""
    names = {str(column) for column in table.columns}
    stems = (n.removesuffix(_DECISION) for n in names if n.endswith(_DECISION))
    return any({stem, stem + _PROBABILITY} <= names for stem in stems)


def lengthen_coded(wide: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return the wide table of a ``coded.csv`` as the long one; `read_coded` says what is needed.

    Raises
    ------
    DataError
        If columns or cells are missing, or hold something else.
    """
    check_columns(wide.columns, ["incident_id"], source=source)
    names = [str(c).removesuffix(_DECISION) for c in wide.columns if str(c).endswith(_DECISION)]
    if not names:
        raise DataError(f"{source!r} has no columns that end in {_DECISION}. Is it a coded table?")
    probabilities = [name + _PROBABILITY for name in names]
    decisions = [name + _DECISION for name in names]
    check_columns(wide.columns, [*names, *probabilities], source=source)
    for column in ("incident_id", *names, *probabilities, *decisions):
        refuse_gaps(wide[column], column, source=source)
    for column in decisions:
        refuse_other_decisions(wide[column], column, source=source)
    chances = [read_probabilities(wide[c], c, source=source).to_numpy() for c in probabilities]
    predicted = [as_bool(wide[name], source=source).to_numpy(bool) for name in names]
    return tabulate(
        wide["incident_id"].astype(str).tolist(),
        names,
        np.column_stack(chances),
        np.column_stack(predicted),
        wide[decisions].to_numpy(dtype=object),
    )


def locate_evidence(
    model: NarrativeClassifier | CombinedClassifier,
    texts: Sequence[str],
    ids: Sequence[str],
    wanted: np.ndarray,
) -> list[tuple[str, str, int, int, float]]:
    """Return rows of the evidence table for the categories wanted, bool array of shape (n, k)."""
    return _locate(FastCoder(model), texts, ids, wanted)


def _locate(
    coder: FastCoder, texts: Sequence[str], ids: Sequence[str], wanted: np.ndarray
) -> list[tuple[str, str, int, int, float]]:
    names = coder.classifier.classes_
    return [
        (ids[i], str(names[c]), start, end, weight)
        for i, text in enumerate(texts)
        for c, start, end, weight in coder.find_evidence(text, np.flatnonzero(wanted[i]).tolist())
    ]


def tabulate(
    ids: Sequence[str],
    categories: Sequence[str],
    probabilities: np.ndarray,
    predicted: np.ndarray,
    decisions: np.ndarray,
) -> pd.DataFrame:
    """Return the coded table, one row an incident and category, from arrays of shape (n, k)."""
    table = pd.DataFrame(
        {
            "incident_id": np.repeat(np.array(ids, dtype=object), len(categories)),
            "category": np.tile(np.array(categories, dtype=object), len(ids)),
            "probability": probabilities.ravel(),
            "predicted": predicted.ravel(),
            "decision": decisions.ravel(),
        }
    )
    return table.astype({"incident_id": "str", "category": "str", "decision": "str"})

"""Adjudication: where coders differ, who decided what and why, and the gold table.

Works on the codings table, wherever it came from (the coding page, sheets, another tool).
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns, rows_text
from boundary_research._tables import as_bool, check_table

KEYS = ["incident_id", "category"]
QUEUE_COLUMNS = [
    "incident_id",
    "category",
    "kind",
    "n_coders",
    "n_present",
    "present_by",
    "absent_by",
    "unclear_by",
    "severities",
]
DECISION_COLUMNS = [
    "incident_id",
    "category",
    "present",
    "severity",
    "reason",
    "adjudicator_id",
    "decided_at",
]
GOLD_COLUMNS = [
    "incident_id",
    "category",
    "present",
    "severity",
    "source",
    "inclusion_probability",
]


def mask_coders(incident_id: str, coder_ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return (letter, coder_id) in an order of its own for each narrative.

    An adjudicator who always met the same coder as "A" would soon know who it is.

    Examples
    --------
    >>> mask_coders("n1", ["ana", "ben"]), mask_coders("n2", ["ana", "ben"])
    ([('A', 'ben'), ('B', 'ana')], [('A', 'ana'), ('B', 'ben')])
    """
    order = sorted(
        set(coder_ids), key=lambda c: hashlib.sha256(f"{incident_id}\0{c}".encode()).digest()
    )
    letters = string.ascii_uppercase
    names = [letters[i] if i < len(letters) else str(i + 1) for i in range(len(order))]
    return list(zip(names, order, strict=True))


def _one_row_a_decision(codings: pd.DataFrame) -> pd.DataFrame:
    """Return the codings without their spans: one row a coder, narrative and category."""
    clean = check_table(codings, "codings")
    if "severity" not in clean.columns:
        clean["severity"] = np.nan
    keys = ["incident_id", "coder_id", "category"]
    decisions = clean[[*keys, "present", "severity"]].drop_duplicates()
    double = decisions.duplicated(keys, keep=False)
    if double.any():
        first = decisions.loc[double, keys].iloc[0]
        raise DataError(
            f"table codings: coder {first['coder_id']!r} has rows for incident "
            f"{first['incident_id']!r}, category {first['category']!r} that differ in present or "
            f"severity. Rows for several evidence spans must agree in both; correct them."
        )
    decisions["severity"] = decisions["severity"].where(decisions["present"])
    return decisions


def _compare(codings: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each narrative and category with what its coders decided.

    Rows come in the order of first appearance. `severity` is the one level that was given, if no
    coder gave another.
    """
    decisions = _one_row_a_decision(codings)
    grouped = decisions.groupby(KEYS, sort=False)
    table = grouped.agg(
        n_coders=("present", "size"),
        n_present=("present", "sum"),
        n_levels=("severity", "nunique"),
        severity=("severity", "first"),
    ).reset_index()
    table["n_present"] = table["n_present"].astype(int)
    return table


def find_disagreements(
    codings: pd.DataFrame,
    decisions: pd.DataFrame | None = None,
    *,
    unclear: Iterable[tuple[str, str]] = (),
    severity: bool = True,
) -> pd.DataFrame:
    """Return the queue: what an adjudicator has to settle, the most even splits first.

    Parameters
    ----------
    codings : pandas.DataFrame
        The codings table, with one or several rows for evidence spans.
    decisions : pandas.DataFrame, optional
        Decisions taken already (columns incident_id, category); these leave the queue.
    unclear : iterable of (incident_id, coder_id)
        Narratives that a coder found too thin to decide. A category that another coder found
        present there is put into the queue.
    severity : bool
        Whether coders that agree on presence and differ in severity disagree.

    Returns
    -------
    pandas.DataFrame
        With `incident_id`, `category`, `kind` (presence, severity, unclear), `n_coders`,
        `n_present`, and as lists `present_by`, `absent_by`, `unclear_by` (coder ids) and
        `severities`.

    Examples
    --------
    >>> codings = pd.DataFrame(
    ...     {
    ...         "incident_id": ["n1", "n1", "n2", "n2"],
    ...         "coder_id": ["ana", "ben", "ana", "ben"],
    ...         "category": ["gift"] * 4,
    ...         "present": [True, False, True, True],
    ...     }
    ... )
    >>> find_disagreements(codings)[["incident_id", "kind", "present_by", "absent_by"]]
      incident_id      kind present_by absent_by
    0          n1  presence      [ana]     [ben]
    """
    rows = _one_row_a_decision(codings)
    table = _compare(codings)
    unclear_by: dict[str, list[str]] = {}
    for incident_id, coder_id in unclear:
        unclear_by.setdefault(str(incident_id), []).append(str(coder_id))
    split = (table["n_present"] > 0) & (table["n_present"] < table["n_coders"])
    levels = (table["n_levels"] > 1) & severity
    doubted = table["incident_id"].isin(list(unclear_by)) & (table["n_present"] > 0)
    table["kind"] = np.select([split, levels, doubted], ["presence", "severity", "unclear"], "")
    queue = table[table["kind"] != ""].copy()
    if decisions is not None and len(queue):
        check_columns(decisions.columns, KEYS, source="table decisions")
        settled = pd.MultiIndex.from_frame(decisions[KEYS].astype(str))
        queue = queue[~pd.MultiIndex.from_frame(queue[KEYS]).isin(settled)]
    queue["unclear_by"] = [unclear_by.get(i, []) for i in queue["incident_id"]]
    share = (queue["n_present"] / queue["n_coders"] - 0.5).abs()
    queue = queue.assign(_evenness=share).sort_values("_evenness", kind="stable")
    wanted = rows.merge(queue[KEYS], on=KEYS)
    groups = dict(iter(wanted.groupby(KEYS, sort=False)))
    keys = list(zip(queue["incident_id"], queue["category"], strict=True))
    queue["present_by"] = [list(groups[k].loc[groups[k]["present"], "coder_id"]) for k in keys]
    queue["absent_by"] = [list(groups[k].loc[~groups[k]["present"], "coder_id"]) for k in keys]
    queue["severities"] = [list(groups[k].loc[groups[k]["present"], "severity"]) for k in keys]
    return queue[QUEUE_COLUMNS].reset_index(drop=True)


def _check_decisions(decisions: pd.DataFrame | None) -> pd.DataFrame:
    if decisions is None:
        empty = pd.DataFrame(columns=DECISION_COLUMNS, dtype=object)
        return empty.astype({"present": bool, "severity": float})
    source = "table decisions"
    check_columns(decisions.columns, [*KEYS, "present", "reason"], source=source)
    clean = decisions.reset_index(drop=True).reindex(columns=DECISION_COLUMNS)
    clean[KEYS] = clean[KEYS].astype(str)
    clean["present"] = as_bool(clean["present"], source=source)
    clean["severity"] = pd.to_numeric(clean["severity"], errors="coerce").astype(float)
    clean["severity"] = clean["severity"].where(clean["present"])
    blank = clean["reason"].isna() | (clean["reason"].astype("string").str.strip() == "")
    if blank.any():
        rows = [int(i) + 1 for i in blank.to_numpy().nonzero()[0]]
        raise DataError(f"{source}: column 'reason' is empty in {rows_text(rows)}. Say why.")
    # A later decision on the same question replaces an earlier one.
    return clean.drop_duplicates(KEYS, keep="last")


def adjudicate(
    codings: pd.DataFrame,
    decisions: pd.DataFrame | None = None,
    *,
    unresolved: str = "error",
    severity: str = "adjudicate",
) -> pd.DataFrame:
    """Return one decision for each narrative and category, with where it came from.

    Parameters
    ----------
    codings : pandas.DataFrame
        The codings table.
    decisions : pandas.DataFrame, optional
        An adjudicator's decisions: incident_id, category, present, reason; optional severity,
        adjudicator_id, decided_at. Of several on one question the last holds. A decision overrides
        agreement too.
    unresolved : {"error", "drop"}
        What to do with disagreements that have no decision.
    severity : {"adjudicate", "missing"}
        Whether a difference in severity alone must be decided, or leaves severity missing.

    Returns
    -------
    pandas.DataFrame
        `incident_id`, `category`, `present`, `severity`, `source` (agreed by two or more coders,
        adjudicated, or single), `n_coders`, `n_present`, `reason`, `adjudicator_id`, `decided_at`.

    Raises
    ------
    DataError
        If disagreements are open and `unresolved` is "error", or a decision gives no reason.
    """
    check_choice(unresolved, ["error", "drop"], name="unresolved")
    check_choice(severity, ["adjudicate", "missing"], name="severity")
    settled = _check_decisions(decisions)
    table = _compare(codings)
    table["present"] = table["n_present"] > 0
    table["source"] = np.where(table["n_coders"] > 1, "agreed", "single")
    table.loc[table["n_levels"] > 1, "severity"] = np.nan
    split = table["present"] & (table["n_present"] < table["n_coders"])
    if severity == "adjudicate":
        split |= table["n_levels"] > 1
    table["open"] = split
    merged = table.merge(settled, on=KEYS, how="outer", suffixes=("", "_decided"), sort=False)
    order = pd.concat([table[KEYS], settled[KEYS]]).drop_duplicates()
    merged = order.merge(merged, on=KEYS, how="left")
    decided = merged["present_decided"].notna()
    merged["present"] = merged["present"].where(~decided, merged["present_decided"]).astype(bool)
    merged["severity"] = merged["severity"].where(~decided, merged["severity_decided"])
    merged["source"] = merged["source"].where(~decided, "adjudicated")
    merged[["n_coders", "n_present"]] = merged[["n_coders", "n_present"]].fillna(0).astype(int)
    is_open = merged["open"].eq(True) & ~decided
    if is_open.any() and unresolved == "error":
        ids = list(dict.fromkeys(merged.loc[is_open, "incident_id"]))
        listed = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        raise DataError(
            f"{int(is_open.sum())} disagreements are not decided, in incidents {listed}. Decide "
            f'them (find_disagreements lists them) or pass unresolved="drop" to leave them out.'
        )
    columns = [*KEYS, "present", "severity", "source", "n_coders", "n_present"]
    columns += ["reason", "adjudicator_id", "decided_at"]
    return merged.loc[~is_open, columns].reset_index(drop=True)


def gold_table(
    codings: pd.DataFrame,
    sample: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    *,
    unresolved: str = "error",
    severity: str = "adjudicate",
) -> pd.DataFrame:
    """Return the gold table: adjudicated decisions with the probability of each narrative's draw.

    Parameters
    ----------
    codings, decisions, unresolved, severity
        As for `adjudicate`.
    sample : pandas.DataFrame, optional
        The sample table. Without it, or for a narrative that it does not hold,
        `inclusion_probability` is missing, and estimators refuse these rows.

    Returns
    -------
    pandas.DataFrame
        `incident_id`, `category`, `present`, `severity`, `source`, `inclusion_probability`.

    Examples
    --------
    >>> codings = pd.DataFrame(
    ...     {
    ...         "incident_id": ["n1", "n1", "n2", "n2"],
    ...         "coder_id": ["ana", "ben", "ana", "ben"],
    ...         "category": ["gift"] * 4,
    ...         "present": [True, False, True, True],
    ...     }
    ... )
    >>> sample = pd.DataFrame({"incident_id": ["n1", "n2"], "inclusion_probability": [0.1, 0.4]})
    >>> decisions = pd.DataFrame(
    ...     {"incident_id": ["n1"], "category": ["gift"], "present": [False], "reason": ["refused"]}
    ... )
    >>> gold_table(codings, sample, decisions).drop(columns="severity")
      incident_id category  present       source  inclusion_probability
    0          n1     gift    False  adjudicated                    0.1
    1          n2     gift     True       agreed                    0.4
    """
    gold = adjudicate(codings, decisions, unresolved=unresolved, severity=severity)
    if sample is None:
        gold["inclusion_probability"] = np.nan
    else:
        drawn = check_table(sample, "sample").set_index("incident_id")["inclusion_probability"]
        gold["inclusion_probability"] = gold["incident_id"].map(drawn).astype(float)
    return check_table(gold[GOLD_COLUMNS], "gold")

"""Claims of a study: the numbers of a results table's row, in words, with one verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

CLAIM_COLUMNS = [
    "claim",
    "replicated",
    "verdict",
    "cause",
    "table",
    "row",
    "row_number",
    "n_values",
    "n_reproduced",
    "n_within_tolerance",
    "n_differs",
    "n_missing",
]
Row = Mapping[str, str]


def _figures(text: str, *, percent: bool = False, digits: int = 2) -> str:
    try:
        value = float(text)
    except ValueError:
        return "–"
    if percent:
        return f"{100 * value:.1f}"
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.0f}"


def _interval(row: Row, low: str, high: str, **how: bool) -> str:
    ends = _figures(row.get(low, ""), **how), _figures(row.get(high, ""), **how)
    return "" if "–" in ends else f" ({ends[0]}–{ends[1]})"


def _p_value(row: Row) -> str:
    for column, name in (("p_adjusted", "p adjusted"), ("p_value", "p")):
        try:
            value = float(row.get(column, ""))
        except ValueError:
            continue
        return f", {name} {'< 0.001' if value < 0.001 else f'= {value:.3f}'}"
    return ""


def _share(name: str, row: Row) -> tuple[str, str]:
    group = name.removeprefix("prevalence").removeprefix("_by_")
    of = f", {row[group]} {group.replace('_', ' ')}" if row.get(group) else ""
    subject = f"share of {row['category']} among reported incidents, {row['estimator']}{of}"
    ends = _interval(row, "conf_low", "conf_high", percent=True)
    return subject, f"{_figures(row['estimate'], percent=True)}%{ends}"


def _association(name: str, row: Row) -> tuple[str, str]:
    missing = f", {row['missing'].replace('_', ' ')}" if row.get("missing") else ""
    analysis = "" if name == "risk_factors" else f" [{name.replace('_', ' ')}]"
    subject = f"{row['term']} on {row['category']}, {row['estimator']}{missing}{analysis}"
    if row.get("odds_ratio"):
        value = f"odds ratio {_figures(row['odds_ratio'])}"
        value += _interval(row, "odds_ratio_low", "odds_ratio_high")
    else:
        value = _figures(row["estimate"]) + _interval(row, "conf_low", "conf_high")
    return subject, value + _p_value(row)


def _metric(name: str, row: Row) -> tuple[str, str]:
    what = row["metric"].replace("_", " ")
    value = _figures(row["estimate"]) + _interval(row, "conf_low", "conf_high")
    return f"the classifier's {what} for {row['category']}", value


def _agreement(name: str, row: Row) -> tuple[str, str]:
    value = _figures(row["estimate"]) + _interval(row, "conf_low", "conf_high")
    return f"{row['coefficient']} of the coders for {row['category']}", value


def _pair(name: str, row: Row) -> tuple[str, str]:
    subject = f"{row['row_category']} together with {row['column_category']}, model's codes"
    total = _figures(row["n_row"], digits=0)
    if not row["n_both"]:
        return subject, f"suppressed of {total}"
    share = _figures(row.get("share", ""), percent=True)
    return subject, f"{_figures(row['n_both'], digits=0)} of {total} ({share}%)"


def _decisions(name: str, row: Row) -> tuple[str, str]:
    parts = [f"{column} {row[column]}" for column in ("coded", "present", "review", "absent")]
    return f"the model's decisions on {row['category']}", ", ".join(parts)


def _anything(name: str, row: Row) -> tuple[str, str]:
    where = row.get("(row)", "")
    cells = [(k, v) for k, v in row.items() if k != "(row)" and v and f"{k}={v}" not in where]
    shown = [f"{k.replace('_', ' ')} {_short(v)}" for k, v in cells[:6]]
    more = ", …" if len(cells) > 6 else ""
    return f"{name.replace('_', ' ')}, {where}", ", ".join(shown) + more


def _short(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return text if value == round(value) else f"{value:.4g}"


# The words for a row, by the columns that its table must have.
_WORDS: list[tuple[set[str], Callable[[str, Row], tuple[str, str]]]] = [
    ({"coefficient", "category", "estimate"}, _agreement),
    ({"metric", "category", "estimate"}, _metric),
    ({"row_category", "column_category", "n_both", "n_row"}, _pair),
    ({"category", "coded", "present", "review", "absent"}, _decisions),
    ({"term", "category", "estimator", "estimate"}, _association),
]


def phrase(name: str, row: Row) -> tuple[str, str]:
    """Return a row of a results table in words: what it is about, and its numbers.

    Examples
    --------
    >>> row = {"category": "gifts", "estimator": "ppi", "estimate": "0.123", "term": "share"}
    >>> phrase("prevalence", row | {"conf_low": "0.098", "conf_high": "0.149"})
    ('share of gifts among reported incidents, ppi', '12.3% (9.8–14.9)')
    """
    columns = set(row)
    if row.get("term") == "share" and {"category", "estimator", "estimate"} <= columns:
        return _share(name, row)
    for needed, words in _WORDS:
        if needed <= columns:
            return words(name, row)
    return _anything(name, row)


def _verdict(counts: Mapping[str, int], total: int) -> str:
    if counts.get("missing", 0) == total:
        return "missing"
    if counts.get("differs", 0) or counts.get("missing", 0) or counts.get("added", 0):
        return "differs"
    return "within tolerance" if counts.get("within tolerance", 0) else "reproduced"


def _one_cause(part: pd.DataFrame) -> str:
    return "; ".join(dict.fromkeys(text for text in part["cause"] if text))


def _claim(name: str, part: pd.DataFrame, published: pd.DataFrame) -> dict[str, object]:
    number, row = int(part["row_number"].iloc[0]), str(part["row"].iloc[0])
    before = {"(row)": row, **published.iloc[number - 1].to_dict()}
    subject, value = phrase(name, before)
    counts = part["verdict"].value_counts().to_dict()
    verdict = _verdict(counts, len(part))
    new = ""
    if verdict != "missing":
        # The row as it came out: the published one with the new numbers in it.
        after = before | dict(zip(part["column"], part["replicated"], strict=True))
        new = phrase(name, after)[1]
    return {
        "claim": f"{subject}: {value}",
        "replicated": new,
        "verdict": verdict,
        "cause": _one_cause(part),
        "table": name,
        "row": row,
        "row_number": number,
        "n_values": len(part),
        **{
            f"n_{key.replace(' ', '_')}": counts.get(key, 0)
            for key in ("reproduced", "within tolerance", "differs", "missing")
        },
    }


def _whole(name: str, part: pd.DataFrame) -> dict[str, object]:
    """Return the claim of a figure, or of rows that were not published."""
    counts = part["verdict"].value_counts().to_dict()
    verdict = _verdict(counts, len(part))
    added = counts.get("added", 0)
    if added:
        what = f"{name.replace('_', ' ')}: no row published for {part['row'].iloc[0]}"
        new = f"{added} row{'s' if added > 1 else ''} that the published table does not have"
        numbers = 0
    else:
        what = (
            f"figure {name.removeprefix('figures/').replace('_', ' ')}: {len(part)} plotted values"
        )
        new = "" if verdict == "missing" else f"{counts.get('reproduced', 0)} came out again"
        numbers = len(part)
    return {
        "claim": what,
        "replicated": new,
        "verdict": verdict,
        "cause": _one_cause(part),
        "table": name,
        "row": "",
        "row_number": None,
        "n_values": numbers,
        **{
            f"n_{key.replace(' ', '_')}": counts.get(key, 0)
            for key in ("reproduced", "within tolerance", "differs", "missing")
        },
    }


def state_claims(numbers: pd.DataFrame, published: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row a claim: a row of a results table, or a figure.

    Parameters
    ----------
    numbers : DataFrame
        As `compare_results` returns it, with a column `cause`.
    published : mapping of str to DataFrame
        The published tables, cells as text.
    """
    rows: list[dict[str, object]] = []
    for name, table in numbers.groupby("table", sort=False):
        name = str(name)
        added = table[(table["verdict"] == "added") & (table["kind"] == "row")]
        cells = table[table["verdict"] != "added"]
        if name.startswith("figures/"):
            if len(cells):
                rows.append(_whole(name, cells))
            continue
        for _, part in cells.groupby("row_number", sort=True):
            rows.append(_claim(name, part, published[name]))
        if len(added):
            rows.append(_whole(name, added))
    frame = pd.DataFrame(rows, columns=CLAIM_COLUMNS)
    return frame.astype({"row_number": "Int64"})

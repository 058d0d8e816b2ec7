"""Tables of a report as HTML, by great_tables; the page's own style dresses them."""

from __future__ import annotations

import re
from html import escape

import pandas as pd

from boundary_research.study.report_parts import ReportTable

_STYLE = re.compile(r"<style>.*?</style>\s*", re.DOTALL)
_OUTER = re.compile(r"^\s*<div\b[^>]*>\s*(.*?)\s*</div>\s*$", re.DOTALL)
_OPENING = re.compile(r'<table class="gt_table"[^>]*>')


def table_to_html(table: ReportTable, *, number: int = 0) -> str:
    """Return a table as an HTML ``table`` element with caption, scopes and header ids.

    Parameters
    ----------
    table : ReportTable
        Every text is escaped.
    number : int
        The table's number in its report; 0 for none. It also makes the ids unique.
    """
    from great_tables import GT

    ids = [f"c{i}" for i in range(len(table.columns))]
    frame = pd.DataFrame(table.rows, columns=ids, dtype=object)
    stub = 1 if table.grouped else 0
    shown = GT(
        frame,
        id=f"table-{number}" if number else "table",
        rowname_col=ids[stub],
        groupname_col=ids[0] if table.grouped else None,
    )
    body = ids[stub + 1 :]
    labels = dict(zip(ids, table.columns, strict=True))
    left = [name for name in body if labels[name] in table.text_columns]
    shown = shown.cols_label({name: labels[name] for name in body})
    shown = shown.cols_align("right", columns=[name for name in body if name not in left])
    if left:
        shown = shown.cols_align("left", columns=left)
    shown = shown.tab_stubhead(labels[ids[stub]])
    start = 0
    for i, (label, width) in enumerate(table.spanners):
        columns = [name for name in ids[start : start + width] if name in body]
        if label and columns:
            shown = shown.tab_spanner(label, columns=columns, id=f"spanner-{i}")
        start += width
    return _dress(shown.as_raw_html(), table, number)


def _dress(raw: str, table: ReportTable, number: int) -> str:
    """Return the bare table with a caption: without the library's colours, which know no dark."""
    bare = _OUTER.sub(r"\1", _STYLE.sub("", raw))
    label = f"<b>Table {number}.</b> " if number else ""
    caption = f"<caption><span>{label}{escape(table.caption)}</span></caption>"
    return _OPENING.sub(lambda _: f'<table class="gt_table">{caption}', bare, count=1)

"""Tables of a report as LaTeX, with booktabs rules."""

from __future__ import annotations

import re

from boundary_research.study.report_parts import ReportTable

# What LaTeX reads as a command, and signs that text fonts of older engines lack.
_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
    "—": "---",
    "−": r"$-$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "·": r"$\cdot$",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "\u00a0": "~",
}
_WIDE = 28  # letters in a cell from which a text column is set as a paragraph
_FULL = 84  # letters of a row from which it is set smaller
_LONG = 40  # rows from which a table may break over pages


def escape_latex(text: str) -> str:
    r"""Return text that LaTeX prints as it is, on one line.

    Examples
    --------
    >>> print(escape_latex("50% of A & B_1"))
    50\% of A \& B\_1
    """
    escaped = "".join(_SIGNS.get(sign, sign) for sign in text)
    return re.sub(r"\s*[\r\n]+\s*", " ", escaped)


def _column_types(table: ReportTable) -> str:
    first = 1 if table.grouped else 0
    names = table.columns[first:]
    left = [i == 0 or name in table.text_columns for i, name in enumerate(names)]
    widest = [
        max((len(row[first + i]) for row in table.rows), default=0) for i in range(len(names))
    ]
    wide = [i for i in range(len(names)) if left[i] and widest[i] > _WIDE]
    if not wide:
        return "".join("l" if text else "r" for text in left)
    # Paragraph columns share what the narrow ones leave of the line, by the length of their text.
    rest = sum(min(widest[i], 20) for i in range(len(names)) if i not in wide)
    room = max(0.88 - 0.011 * rest - 0.025 * len(names), 0.3)
    total = sum(min(widest[i], 120) for i in wide)
    types = []
    for i, text in enumerate(left):
        share = room * min(widest[i], 120) / total
        ragged = rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
        types.append(ragged if i in wide else "l" if text else "r")
    return "".join(types)


def _spanner_lines(table: ReportTable) -> list[str]:
    if not any(label for label, _ in table.spanners):
        return []
    cells, rules, place = [], [], 1
    skip = 1 if table.grouped else 0
    for i, (label, width) in enumerate(table.spanners):
        wide = width - skip if i == 0 else width
        if wide < 1:
            continue
        if label:
            cells.append(rf"\multicolumn{{{wide}}}{{c}}{{{escape_latex(label)}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + wide - 1}}}")
        else:
            cells += [""] * wide
        place += wide
    cells += [""] * (len(table.columns) - skip - place + 1)
    return [" & ".join(cells) + r" \\", "".join(rules)]


def _join_cells(cells: list[str]) -> str:
    """Return a row; its first sign must not be read as an argument of the row end before it."""
    shown = [escape_latex(cell).strip() for cell in cells]
    guarded = ["{}" + cell if cell.startswith(("[", "*")) else cell for cell in shown]
    return " & ".join(guarded) + r" \\"


def _body(table: ReportTable) -> list[str]:
    first = 1 if table.grouped else 0
    lines: list[str] = []
    group = None
    for row in table.rows:
        if table.grouped and row[0] != group:
            group = row[0]
            lines += [r"\addlinespace"] if lines else []
            width = len(table.columns) - 1
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{escape_latex(group)}}}}} \\*")
        lines.append(_join_cells(row[first:]))
    return lines


def table_to_latex(table: ReportTable) -> str:
    r"""Return a table as a ``table`` float, or a ``longtable`` where it is long.

    The document needs the packages booktabs, array and, for long tables, longtable; the label is
    ``tab:NAME``.

    Parameters
    ----------
    table : ReportTable

    Returns
    -------
    str
        With a first line that names the packages.
    """
    first = 1 if table.grouped else 0
    names = _join_cells(table.columns[first:])
    head = [r"\toprule", *_spanner_lines(table), names, r"\midrule"]
    body = _body(table)
    label = rf"\label{{tab:{re.sub(r'[^A-Za-z0-9:-]+', '-', table.name)}}}"
    caption = rf"\caption{{{escape_latex(table.caption)}}}{label}"
    types = _column_types(table)
    widest = [
        max(len(text) for text in column)
        for column in list(zip(table.columns, *table.rows, strict=True))[first:]
    ]
    size = r"\footnotesize" if sum(widest) > _FULL else r"\small"
    note = rf"\par\smallskip{{\footnotesize {escape_latex(table.note)}\par}}" if table.note else ""
    if len(table.rows) > _LONG:
        lines = [
            "% needs \\usepackage{booktabs,array,longtable}",
            rf"{{{size}",
            rf"\begin{{longtable}}{{{types}}}",
            caption + r" \\",
            *head,
            r"\endfirsthead",
            *head,
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *body,
            r"\end{longtable}",
            *([note] if note else []),
            "}",
        ]
    else:
        lines = [
            "% needs \\usepackage{booktabs,array}",
            r"\begin{table}[tbp]",
            rf"\centering{size}",
            caption,
            rf"\begin{{tabular}}{{{types}}}",
            *head,
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *([note] if note else []),
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"

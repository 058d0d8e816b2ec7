"""Reports as Word documents: headings, captions, tables with header rows, alternative texts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundary_research._files import write_atomically
from boundary_research.study.report import name_notice
from boundary_research.study.report_parts import Report, ReportFigure, ReportTable, Section

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import Table, _Cell

_TEXT_WIDTH = 17.0  # cm, on A4 with margins of 2 cm
_MOST_HEIGHT = 17.5  # cm, so that a heading, a paragraph and a caption fit on a figure's page
_INK = "1C1C1C"
_SHADES = {"notice": "FFF4D6", "estimand": "EEF5F9"}
_LETTER = 0.17  # cm that a letter takes in a table
_BOLD_LETTER = 0.2
_PADDING = 0.45  # cm that a cell's margins take
_WIDE = 22  # letters from which a column holds text that may be broken into lines


def write_word_document(report: Report, path: str | Path) -> Path:
    """Write a report as a Word document (DOCX).

    Tables are Word tables whose header rows repeat on every page; figures have alternative texts;
    captions are numbered by fields, so that a list of tables can be made in Word.

    Parameters
    ----------
    report : Report
    path : path
        Of the file to write.
    """
    import docx

    document = docx.Document()
    _set_up(document, report)
    document.add_heading(report.title, level=0)
    if report.authors:
        document.add_paragraph(", ".join(report.authors), style="Subtitle")
    if report.notice:
        _add_boxed(document, report.notice, "notice", name_notice(report.notice))
    if report.lead:
        document.add_paragraph(report.lead)
    if report.facts:
        told = "; ".join(f"{name}: {value}" for name, value in report.facts)
        document.add_paragraph(told[:1].upper() + told[1:] + ".")
    counts = {"Figure": 0, "Table": 0}
    for section in report.sections:
        _add_section(document, section, counts)
    stream = io.BytesIO()
    document.save(stream)
    return write_atomically(path, lambda file: file.write_bytes(stream.getvalue()))


def _set_up(document: Document, report: Report) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Cm, Pt, RGBColor

    page = document.sections[0]
    page.page_width, page.page_height = Cm(21.0), Cm(29.7)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Cm(2.0)
    styles: Any = document.styles
    styles["Normal"].font.size = Pt(10.5)
    styles["Normal"].paragraph_format.space_after = Pt(6)
    for name in ("Title", "Heading 1", "Heading 2", "Caption", "Subtitle"):
        styles[name].font.color.rgb = RGBColor.from_string(_INK)
        styles[name].font.italic = False
    styles["Title"].font.size = Pt(20)
    styles["Caption"].font.bold = False
    styles["Caption"].font.size = Pt(9.5)
    properties = document.core_properties
    properties.title = report.title
    properties.author = "; ".join(report.authors)
    properties.language = "en"
    properties.comments = report.notice
    foot = page.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    _add_field(foot, "PAGE", "1")


def _add_field(paragraph: Any, instruction: str, shown: str) -> None:
    """Add a field that Word keeps up to date, with what it shows until then."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), instruction)
    run, text = OxmlElement("w:r"), OxmlElement("w:t")
    text.text = shown
    run.append(text)
    field.append(run)
    paragraph._p.append(field)


def _add_boxed(document: Document, text: str, kind: str, title: str = "") -> None:
    paragraph = document.add_paragraph()
    if title:
        paragraph.add_run(f"{title} ").bold = True
    paragraph.add_run(text)
    _shade(paragraph._p.get_or_add_pPr(), _SHADES[kind])


def _shade(properties: Any, colour: str) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    shade = OxmlElement("w:shd")
    for name, value in (("val", "clear"), ("color", "auto"), ("fill", colour)):
        shade.set(qn(f"w:{name}"), value)
    properties.append(shade)


def _add_section(document: Document, section: Section, counts: dict[str, int]) -> None:
    document.add_heading(section.title, level=1)
    for part in section.paragraphs:
        if part.kind == "heading":
            document.add_heading(part.text, level=2)
        elif part.kind in _SHADES:
            _add_boxed(document, part.text, part.kind)
        else:
            document.add_paragraph(part.text)
    for text in section.bullets:
        document.add_paragraph(text, style="List Bullet")
    for figure in section.figures:
        _add_figure(document, figure, counts)
    for table in section.tables:
        _add_table(document, table, counts)


def _add_caption(document: Document, kind: str, text: str, counts: dict[str, int]) -> Any:
    counts[kind] += 1
    paragraph = document.add_paragraph(style="Caption")
    paragraph.add_run(f"{kind} ").bold = True
    _add_field(paragraph, f"SEQ {kind} \\* ARABIC", str(counts[kind]))
    paragraph.add_run(f". {text}")
    return paragraph


def _add_figure(document: Document, figure: ReportFigure, counts: dict[str, int]) -> None:
    from docx.shared import Cm, Emu

    paragraph = document.add_paragraph()
    paragraph.paragraph_format.keep_with_next = True
    picture = paragraph.add_run().add_picture(io.BytesIO(figure.picture()), width=Cm(_TEXT_WIDTH))
    if picture.height > Cm(_MOST_HEIGHT):
        picture.width = Emu(picture.width * Cm(_MOST_HEIGHT) // picture.height)
        picture.height = Cm(_MOST_HEIGHT)
    about = picture._inline.docPr
    about.set("descr", figure.alt)
    about.set("name", figure.name or f"Figure {counts['Figure'] + 1}")
    _add_caption(document, "Figure", figure.caption, counts)


def _add_table(document: Document, report_table: ReportTable, counts: dict[str, int]) -> None:
    from docx.shared import Pt

    caption = _add_caption(document, "Table", report_table.caption, counts)
    caption.paragraph_format.keep_with_next = True
    skip = 1 if report_table.grouped else 0
    columns = report_table.columns[skip:]
    spanned = any(label for label, _ in report_table.spanners)
    table = document.add_table(rows=1 + spanned, cols=len(columns))
    table.autofit = False
    _describe(table, report_table.caption)
    left = [i == 0 or name in report_table.text_columns for i, name in enumerate(columns)]
    if spanned:
        _fill_spanners(table, report_table, skip)
    for i, name in enumerate(columns):
        _fill(table.rows[int(spanned)].cells[i], name, left=left[i], bold=True, keep=True)
    for row in table.rows:
        _mark_row(row, header=True)
    _rule(table.rows[0], "top", 12)
    _rule(table.rows[-1], "bottom", 6)
    group = None
    last = len(report_table.rows) - 1
    for number, cells in enumerate(report_table.rows):
        if report_table.grouped and cells[0] != group:
            group = cells[0]
            row = table.add_row()
            _mark_row(row)
            _fill(row.cells[0].merge(row.cells[-1]), group, left=True, bold=True, keep=True)
        row = table.add_row()
        _mark_row(row)
        for i, text in enumerate(cells[skip:]):
            # No single row of a table stands at the foot or the head of a page.
            _fill(row.cells[i], text, left=left[i], keep=number in (0, 1, last - 1))
    _rule(table.rows[-1], "bottom", 12)
    _set_widths(table, report_table, skip)
    document.add_paragraph().add_run(report_table.note).font.size = Pt(8.5)


def _fill_spanners(table: Table, report_table: ReportTable, skip: int) -> None:
    start = 0
    row = table.rows[0]
    for i, (label, width) in enumerate(report_table.spanners):
        wide = width - skip if i == 0 else width
        if wide > 0 and label:
            cell = row.cells[start].merge(row.cells[start + wide - 1])
            _fill(cell, label, left=False, bold=True, centre=True)
        start += wide


def _fill(
    cell: _Cell,
    text: str,
    *,
    left: bool,
    bold: bool = False,
    centre: bool = False,
    keep: bool = False,
) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    paragraph = cell.paragraphs[0]
    run = paragraph.add_run(text)
    run.bold, run.font.size = bold, Pt(8.5)
    space: Any = paragraph.paragraph_format
    space.space_after = space.space_before = Pt(1.5)
    space.keep_with_next = keep or None
    side = WD_ALIGN_PARAGRAPH.LEFT if left else WD_ALIGN_PARAGRAPH.RIGHT
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER if centre else side


def _describe(table: Table, text: str) -> None:
    """Give a table the description that screen readers read."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    about = OxmlElement("w:tblDescription")
    about.set(qn("w:val"), text)
    table._tbl.tblPr.append(about)


def _mark_row(row: Any, *, header: bool = False) -> None:
    """Keep a row on one page, and repeat it on the next ones if it is a header."""
    from docx.oxml import OxmlElement

    properties = row._tr.get_or_add_trPr()
    properties.append(OxmlElement("w:cantSplit"))
    if header:
        properties.append(OxmlElement("w:tblHeader"))


def _rule(row: Any, side: str, eighths: int) -> None:
    """Draw a rule above or below a row, in eighths of a point."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for cell in row._tr.tc_lst:
        properties = cell.get_or_add_tcPr()
        borders = properties.find(qn("w:tcBorders"))
        if borders is None:
            borders = OxmlElement("w:tcBorders")
            properties.append(borders)
        line = OxmlElement(f"w:{side}")
        for name, value in (("val", "single"), ("sz", str(eighths)), ("color", _INK)):
            line.set(qn(f"w:{name}"), value)
        borders.append(line)


def _set_widths(table: Table, report_table: ReportTable, skip: int) -> None:
    """Give numbers the width they need, and share what is left among the texts."""
    from docx.shared import Cm

    columns = range(len(report_table.columns) - skip)
    body = [max((len(row[skip + i]) for row in report_table.rows), default=0) for i in columns]
    headings = [report_table.columns[skip + i] for i in columns]
    words = [max((len(word) for word in name.split()), default=1) for name in headings]
    wide = [i for i in columns if body[i] > _WIDE]
    needed = [max(body[i] * _LETTER, words[i] * _BOLD_LETTER) + _PADDING for i in columns]
    rest = _TEXT_WIDTH - sum(needed[i] for i in columns if i not in wide)
    if wide:
        lengths = {i: min(body[i], 90) for i in wide}
        for i in wide:
            needed[i] = max(rest * lengths[i] / sum(lengths.values()), 2.2)
    scale = _TEXT_WIDTH / sum(needed)
    for i in columns:
        width = Cm(needed[i] * scale)
        table.columns[i].width = width
        for cell in table.columns[i].cells:
            if cell._tc.grid_span == 1:
                cell.width = width

import builtins
import io
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_runs import shared_run, write_figures
from typer.testing import CliRunner

from boundary_research import DataError
from boundary_research.cli import app
from boundary_research.study.documents import (
    find_results,
    write_documents,
    write_docx,
    write_pdf,
)
from boundary_research.study.latex_tables import escape_latex, table_to_latex
from boundary_research.study.report_parts import Report, ReportTable, Section
from boundary_research.study.report_sections import build_report, write_study_report

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = shared_run(tmp_path_factory)
    write_figures(run)
    write_study_report(run)
    return run


@pytest.fixture(scope="module")
def document(run, tmp_path_factory):
    import docx

    path = write_docx(run, tmp_path_factory.mktemp("word") / "report.docx")
    return docx.Document(str(path))


@pytest.fixture(scope="module")
def pdf(run, tmp_path_factory):
    from pypdf import PdfReader

    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"WeasyPrint cannot be used here ({type(error).__name__})")
    return PdfReader(write_pdf(run, tmp_path_factory.mktemp("pdf") / "report.pdf"))


def test_word_document_has_the_headings_of_the_report(run, document):
    sections = build_report(run).sections
    found = [p.text for p in document.paragraphs if p.style.name == "Heading 1"]
    assert found == [section.title for section in sections]
    second = [p.text for p in document.paragraphs if p.style.name == "Heading 2"]
    wanted = [p.text for s in sections for p in s.paragraphs if p.kind == "heading"]
    assert second == wanted
    assert document.core_properties.title == run.plan.title
    assert document.core_properties.author == "A. Author; B. Writer"


def test_word_tables_have_header_rows_captions_and_all_cells(run, document):
    tables = list(build_report(run).tables())
    assert len(document.tables) == len(tables)
    for word, table in zip(document.tables, tables, strict=True):
        skip = 1 if table.grouped else 0
        headers = [row for row in word.rows if row._tr.find(f"{W}trPr/{W}tblHeader") is not None]
        assert headers == list(word.rows)[: len(headers)] or len(headers) in (1, 2)
        assert [cell.text for cell in word.rows[len(headers) - 1].cells] == table.columns[skip:]
        assert all(row._tr.find(f"{W}trPr/{W}cantSplit") is not None for row in word.rows)
        groups = len(dict.fromkeys(row[0] for row in table.rows)) if table.grouped else 0
        assert len(word.rows) == len(headers) + len(table.rows) + groups
        last = [cell.text for cell in word.rows[-1].cells]
        assert last == table.rows[-1][skip:]
        described = word._tbl.tblPr.find(f"{W}tblDescription")
        assert described.get(f"{W}val") == table.caption
    captions = [p for p in document.paragraphs if p.style.name == "Caption"]
    fields = [p._p.find(f"{W}fldSimple").get(f"{W}instr") for p in captions]
    assert sum("SEQ Table" in field for field in fields) == len(tables)
    # A caption stays with its table.
    assert all(p.paragraph_format.keep_with_next for p in captions if p.text.startswith("Table"))


def test_word_table_spanners_are_merged_cells(document, run):
    place = [t.name for t in build_report(run).tables()].index("prevalence")
    first = document.tables[place].rows[0]
    spans = [cell.grid_span for cell in first._tr.tc_lst]
    assert spans == [1, 2, 2, 2]


def test_word_pictures_have_alternative_texts_and_fit_the_page(run, document):
    figures = list(build_report(run).figures())
    shapes = document.inline_shapes
    assert len(shapes) == len(figures)
    for shape, figure in zip(shapes, figures, strict=True):
        assert shape._inline.docPr.get("descr") == figure.alt
        assert shape.width.cm <= 17.01
        assert shape.height.cm <= 17.51


def test_word_table_widths_fill_the_line(document):
    for table in document.tables:
        assert sum(column.width.cm for column in table.columns) == pytest.approx(17, abs=0.05)


def test_pdf_has_every_section_page_numbers_and_tags(run, pdf):
    pages = [page.extract_text() for page in pdf.pages]
    text = re.sub(r"\s+", " ", " ".join(pages))
    report = build_report(run)
    for section in report.sections:
        assert section.title in text
    for table in report.tables():
        assert table.caption in text  # folded ones are open on paper
    for number, page in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in page
    assert pdf.metadata.title == run.plan.title
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert "Save as CSV" not in text


def test_pdf_headings_never_end_a_page(run, pdf):
    headings = {section.title for section in build_report(run).sections}
    for page in pdf.pages:
        lines = [line.strip() for line in page.extract_text().splitlines() if line.strip()]
        body = [x for x in lines if not re.fullmatch(r"\d+ / \d+", x) and x != run.plan.title]
        assert body[-1] not in headings


@pytest.mark.parametrize(
    ("error", "words"),
    [(ImportError("no"), "is not installed. Install it with pip"), (OSError("pango"), "Pango")],
)
def test_a_pdf_without_weasyprint_says_what_to_do(tmp_path, monkeypatch, error, words):
    real = builtins.__import__

    def fake(name, *rest, **kwargs):
        if name == "weasyprint":
            raise error
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        write_pdf(Report("t", []), tmp_path / "x.pdf")
    assert "docx" in str(caught.value)
    assert not (tmp_path / "x.pdf").exists()


def test_documents_are_made_from_the_folder_of_a_run(run, tmp_path):
    copied = tmp_path / "elsewhere"
    shutil.copytree(run.folder, copied)
    paths = write_documents(copied, formats=["docx", "latex"], output=tmp_path / "out")
    assert [path.name for path in paths] == ["report.docx", "tables.tex"]
    text = paths[1].read_text("utf-8")
    assert text.count("\\label{tab:") == len(list(build_report(run).tables()))


def test_command_report_finds_the_results_and_refuses_what_is_not_there(run, tmp_path):
    runner = CliRunner()
    done = runner.invoke(
        app, ["report", str(run.plan.folder), "-f", "docx,latex", "-o", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report.docx").stat().st_size > 10_000
    assert find_results(run.plan.folder) == run.folder
    assert find_results(run.plan.file) == run.folder
    with pytest.raises(DataError, match=r"'odt' not found\. Available: docx, pdf, latex"):
        write_documents(run.folder, formats=["odt"])
    with pytest.raises(DataError, match="No format"):
        write_documents(run.folder, formats=[])
    with pytest.raises(DataError, match="boundary-research run"):
        write_documents(tmp_path)


def test_a_study_that_was_not_run_is_named(run, tmp_path):
    for file in run.plan.folder.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    with pytest.raises(DataError, match="Run it first"):
        find_results(tmp_path)


def _unescape(text):
    from boundary_research.study.latex_tables import _SIGNS

    signs = sorted(_SIGNS.items(), key=lambda pair: -len(pair[1]))
    back, i = "", 0
    while i < len(text):
        for sign, written in signs:
            if written != "~" and len(written) > 1 and text.startswith(written, i):
                back, i = back + sign, i + len(written)
                break
        else:
            back, i = back + text[i], i + 1
    return back


@given(st.text(alphabet="abc XYZ\\{}$&#%_^<>|[]", max_size=40))
def test_no_sign_is_left_that_latex_would_obey(text):
    escaped = escape_latex(text)
    assert _unescape(escaped) == text
    bare = re.sub(r"\\(text\w+\{\}|[{}$&#%_])", "", escaped)
    assert not re.search(r"[\\{}$&#%_^~]", bare)


CELL = st.text(alphabet="ab1 &%_[]{}*\\", max_size=12)


@given(
    st.integers(2, 4).flatmap(
        lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=60)
    ),
    st.booleans(),
)
def test_every_row_has_as_many_cells_as_there_are_columns(rows, grouped):
    n = len(rows[0])
    names = [f"c{i}" for i in range(n)]
    table = ReportTable("A & B", names, rows, grouped=grouped, name="x_y", text_columns=("c1",))
    text = table_to_latex(table)
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert "\\label{tab:x-y}" in text
    columns = n - grouped
    for line in text.splitlines():
        if line.endswith(r"\\") and not line.startswith(("\\multicolumn", "\\caption")):
            cells = re.split(r"(?<!\\)(?:\\\\)*&", line)
            assert len(cells) == columns
            assert not line.lstrip().startswith(("[", "*"))
    bare = re.sub(r"\\[{}\\]", "", text)
    assert bare.count("{") == bare.count("}")


def test_latex_spanners_rule_their_columns():
    table = ReportTable(
        "c", ["a", "b", "d", "e"], [["1", "2", "3", "4"]], spanners=(("", 1), ("s", 2)), name="t"
    )
    text = table_to_latex(table)
    assert r" & \multicolumn{2}{c}{s} &  \\" in text
    assert r"\cmidrule(lr){2-3}" in text


def test_a_table_without_rows_and_a_report_without_parts_can_be_written(tmp_path):
    import docx

    table = ReportTable("Empty", ["a", "b"], [], name="empty")
    path = write_docx(Report("t", [Section("s", "S", tables=[table])]), tmp_path / "a.docx")
    word = docx.Document(io.BytesIO(path.read_bytes()))
    assert len(word.tables[0].rows) == 1
    assert r"\bottomrule" in table_to_latex(table)

"""Reports as documents for journals: Word and PDF, from a run or from its output folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from boundary_research._checks import DataError, check_choice, check_output_folder
from boundary_research._files import write_atomically, write_text
from boundary_research.study.latex_tables import table_to_latex
from boundary_research.study.plan import load_plan
from boundary_research.study.report import render_report
from boundary_research.study.report_parts import Report, read_report
from boundary_research.study.report_sections import build_report
from boundary_research.study.word_document import write_word_document

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

FORMATS = ("docx", "pdf", "latex")


def _as_report(source: Report | StudyRun | str | Path) -> Report:
    if isinstance(source, Report):
        return source
    return read_report(source) if isinstance(source, str | Path) else build_report(source)


def write_docx(source: Report | StudyRun | str | Path, path: str | Path) -> Path:
    """Write a study's report as a Word document.

    Parameters
    ----------
    source : StudyRun, Report, or path
        A run, its report, or its output folder.
    path : path
        Of the file to write.

    Raises
    ------
    DataError
        If the folder holds no report, or the file cannot be written.
    """
    return write_word_document(_as_report(source), path)


def write_pdf(source: Report | StudyRun | str | Path, path: str | Path) -> Path:
    """Write a study's report as a PDF, by WeasyPrint.

    All tables are open; pages are numbered; it is tagged, so that screen readers can follow it.

    Parameters
    ----------
    source : StudyRun, Report, or path
        A run, its report, or its output folder.
    path : path
        Of the file to write.

    Raises
    ------
    DataError
        If WeasyPrint or the libraries that it needs are not installed, the folder holds no
        report, or the file cannot be written.
    """
    page = _load_weasyprint()
    content = page(render_report(_as_report(source), document=True))
    return write_atomically(path, lambda file: file.write_bytes(content))


def _load_weasyprint() -> Callable[[str], bytes]:
    """Return a function from HTML to PDF."""
    try:
        from weasyprint import HTML
    except ImportError:
        raise DataError(
            "A PDF needs WeasyPrint, which is not installed. Install it with pip install "
            "'boundary-research[pdf]', or write docx, or print report.html from a browser."
        ) from None
    except OSError:
        raise DataError(
            "WeasyPrint is installed, but the system library Pango that it needs is not. "
            "Install it "
            "(on Debian and Ubuntu: apt install libpango-1.0-0 libpangoft2-1.0-0), or write "
            "docx, or "
            "print report.html from a browser."
        ) from None

    def render(text: str) -> bytes:
        made = HTML(string=text).write_pdf(pdf_variant="pdf/ua-1")
        return bytes(made)

    return render


def find_results(path: str | Path) -> Path:
    """Return the output folder of a run: the path itself, or where its study.yaml puts it.

    Raises
    ------
    DataError
        If study.yaml has problems, or the study was not run.
    """
    folder = Path(path).expanduser()
    if (folder / "report.json").exists():
        return folder
    if folder.is_file() or (folder / "study.yaml").exists():
        found = Path(load_plan(folder).output).expanduser()
        if not (found / "report.json").exists():
            raise DataError(
                f"Study {str(path)!r} has no results in {found.name!r}. Run it first with "
                f"boundary-research run."
            )
        return found
    return folder


def write_documents(
    folder: str | Path,
    *,
    formats: Sequence[str] = ("docx", "pdf"),
    output: str | Path | None = None,
) -> list[Path]:
    """Write documents from the output folder of a run, and return their paths.

    Parameters
    ----------
    folder : path
        Output folder of a run.
    formats : sequence of {"docx", "pdf", "latex"}
        latex writes ``tables.tex``, all tables in one file.
    output : path, optional
        Folder to write to; the same folder by default.

    Raises
    ------
    DataError
        If a format is not known, or what `write_pdf` raises.

    Notes
    -----
    The manifest of a run lists what the run wrote; documents that are made later are not in it.
    """
    chosen = [check_choice(name, FORMATS, name="format") for name in formats]
    if not chosen:
        raise DataError(f"No format was given. Available: {', '.join(FORMATS)}.")
    report = read_report(folder)
    target = check_output_folder(folder if output is None else output)
    paths = []
    for name in dict.fromkeys(chosen):
        if name == "latex":
            text = "\n".join(table_to_latex(table) for table in report.tables())
            paths.append(write_text(target / "tables.tex", text))
        else:
            write = write_docx if name == "docx" else write_pdf
            paths.append(write(report, target / f"report.{name}"))
    return paths

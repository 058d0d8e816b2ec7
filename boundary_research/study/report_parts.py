"""The parts that a report is made of, the same for the web page, Word, PDF and LaTeX."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from boundary_research._checks import DataError, check_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 1  # of the JSON that a report is kept in


@dataclass
class Paragraph:
    """A paragraph; kind may be notice, estimand, note or heading."""

    text: str
    kind: str = ""


@dataclass
class ReportTable:
    """A table of texts, as it is to be read.

    Attributes
    ----------
    caption : str
    columns : list of str
        Column headings; two columns may have the same one.
    rows : list of list of str
    note : str
        Stands below the table.
    folded : bool
        Closed until it is clicked on, on the web page.
    text_columns : tuple of str
        Headings of columns that are set to the left.
    name : str
        Stem of the files ``NAME.tex`` and ``NAME.csv``; empty for a table without files.
    spanners : tuple of (str, int)
        Headings above the columns, left to right, each with the number of columns that it spans;
        an empty one leaves its columns bare.
    grouped : bool
        The first column's values become headings of groups of rows.
    csv : str
        The numbers behind the table at full precision; empty for the table's own cells.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""
    folded: bool = False
    text_columns: tuple[str, ...] = ()
    name: str = ""
    spanners: tuple[tuple[str, int], ...] = ()
    grouped: bool = False
    csv: str = ""

    def headings(self) -> list[str]:
        """Return the heading of every column in one line, with that of its spanner before it."""
        above = [label for label, width in self.spanners for _ in range(width)]
        above += [""] * (len(self.columns) - len(above))
        pairs = zip(above, self.columns, strict=True)
        return [f"{over}: {name}" if over else name for over, name in pairs]

    def to_csv(self) -> str:
        """Return the numbers behind the table, or its cells, as CSV."""
        if self.csv:
            return self.csv
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.headings())
        writer.writerows(self.rows)
        return stream.getvalue()


@dataclass
class ReportFigure:
    """A picture (PNG, base64) with alternative text, a caption that says what to see, and its data.

    `csv` holds the plotted data; `name` is the stem of its files in the folder ``figures``.
    """

    data: str
    alt: str
    caption: str
    name: str = ""
    csv: str = ""

    def picture(self) -> bytes:
        """Return the bytes of the PNG."""
        return base64.b64decode(self.data)


@dataclass
class Section:
    """A section of a report."""

    id: str
    title: str
    paragraphs: list[Paragraph] = field(default_factory=list)
    bullets: list[str] = field(default_factory=list)
    figures: list[ReportFigure] = field(default_factory=list)
    tables: list[ReportTable] = field(default_factory=list)


@dataclass
class Report:
    """A report, before it becomes a web page or a document.

    Attributes
    ----------
    title : str
    sections : list of Section
    facts : list of (str, str)
        Name and value of what stands in large figures at the top.
    notice : str
        Shown first; that data are fictional, say.
    lead : str
    authors : tuple of str
    """

    title: str
    sections: list[Section]
    facts: list[tuple[str, str]] = field(default_factory=list)
    notice: str = ""
    lead: str = ""
    authors: tuple[str, ...] = ()

    def tables(self) -> Iterator[ReportTable]:
        """Yield all tables in their order."""
        for section in self.sections:
            yield from section.tables

    def figures(self) -> Iterator[ReportFigure]:
        """Yield all figures in their order."""
        for section in self.sections:
            yield from section.figures

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready data; pictures are left to the folder ``figures``."""
        content = {"format": FORMAT, **asdict(self)}
        for section in content["sections"]:
            for figure in section["figures"]:
                del figure["data"]
        return content


def read_report(folder: str | Path) -> Report:
    """Return the report of a run from ``report.json`` and ``figures`` of its output folder.

    Raises
    ------
    DataError
        If there is none, or it was written by another version.
    """
    path = Path(folder)
    if not (path / "report.json").exists():
        raise DataError(
            f"{str(folder)!r} holds no report.json. Give the output folder of a run, or run the "
            f"study first with boundary-research run."
        )
    try:
        content = json.loads((path / "report.json").read_text("utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError
        content["sections"] = [_read_section(part, path) for part in content["sections"]]
        content["facts"] = [(name, value) for name, value in content["facts"]]
        content["authors"] = tuple(content["authors"])
        return Report(**content)
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"report.json of {str(folder)!r} was not written by this version. Run the study again."
        ) from None


def _read_section(part: dict[str, Any], folder: Path) -> Section:
    figures = []
    for figure in part["figures"]:
        file = check_file(folder / "figures" / f"{Path(figure['name']).name}.png", what="Figure")
        figures.append(ReportFigure(encode_picture(file.read_bytes()), **figure))
    tables = []
    for table in part["tables"]:
        spanners = tuple((str(label), int(width)) for label, width in table["spanners"])
        words = {"spanners": spanners, "text_columns": tuple(table["text_columns"])}
        tables.append(ReportTable(**{**table, **words}))
    paragraphs = [Paragraph(**paragraph) for paragraph in part["paragraphs"]]
    return Section(part["id"], part["title"], paragraphs, part["bullets"], figures, tables)


def encode_picture(picture: bytes) -> str:
    """Return the bytes of a picture as base64 text."""
    return base64.b64encode(picture).decode("ascii")


def draw_picture(figure: Figure) -> bytes:
    """Return a figure as PNG, without the time or program that made it."""
    # Layouts settle at the second drawing only; a picture is to be the same at any.
    figure.draw_without_rendering()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def embed_figure(
    figure: Figure, alt: str, caption: str, *, name: str = "", data: pd.DataFrame | None = None
) -> ReportFigure:
    """Return a matplotlib figure as a picture that stands inside a report, with its data."""
    text = "" if data is None else frame_to_csv(data)
    return ReportFigure(encode_picture(draw_picture(figure)), alt, caption, name, text)


def find_figure(
    figures: Mapping[str, Figure], name: str, alt: str, caption: str, data: pd.DataFrame
) -> list[ReportFigure]:
    """Return a figure of a run with its data, in a list; an empty list where there is none."""
    if name not in figures:
        return []
    return [embed_figure(figures[name], alt, caption, name=name, data=data)]


def frame_to_csv(frame: pd.DataFrame) -> str:
    r"""Return a table as CSV text with ``\n`` line ends and numbers at full precision."""
    return frame.to_csv(index=False, lineterminator="\n")


def read_csv_cells(text: str) -> list[list[str]]:
    """Return the cells of CSV text as texts, the header first."""
    return list(csv.reader(io.StringIO(text)))


def data_uri(text: str) -> str:
    """Return CSV text as a ``data:`` address, from which a browser saves a file."""
    return "data:text/csv;charset=utf-8," + quote(text)


def list_words(items: Sequence[str]) -> str:
    """Return items as a phrase.

    Examples
    --------
    >>> list_words(["a", "b", "c"])
    'a, b and c'
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"

"""The report in a real browser, on a narrow and on a wide screen.

Needs playwright and a Chromium (CHROMIUM_PATH, default /usr/bin/chromium).
"""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from boundary_research.classifier.decisions import CodedIncidents, tabulate
from boundary_research.codebook.model import load_codebook
from boundary_research.study.report import render_report, write_coding_report
from boundary_research.study.report_parts import Report, ReportTable, Section

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}; set CHROMIUM_PATH"
)


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [420, 1200])
def test_the_decision_table_is_seen_whole(browser, tmp_path, width):
    book = load_codebook()
    names = list(book.category_ids)
    shape = (2, len(names))
    decisions = np.full(shape, "absent", dtype=object)
    coded = tabulate(["a", "b"], names, np.zeros(shape), np.zeros(shape, dtype=bool), decisions)
    coding = CodedIncidents(coded, pd.DataFrame(), pd.DataFrame(columns=["reason"]), names)
    path = write_coding_report(
        coding,
        tmp_path,
        source={},
        model_description="A model.",
        decisions_description="They held up.",
        codebook=book,
    )
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    seen, whole = page.locator(".scroll").evaluate("e => [e.clientWidth, e.scrollWidth]")
    assert whole <= seen
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_shade_shows_on_which_side_a_wide_table_goes_on(browser, tmp_path, scheme):
    image = pytest.importorskip("PIL.Image")
    columns = [f"number_{i}" for i in range(12)]
    table = ReportTable("Wide", ["name", *columns], [["a", *["1.234"] * 12]] * 9)
    file = tmp_path / "wide.html"
    file.write_text(render_report(Report("R", [Section("s", "S", tables=[table])])), "utf-8")
    page = browser.new_page(viewport={"width": 420, "height": 900}, color_scheme=scheme)
    page.goto(file.as_uri())
    box = page.locator(".scroll")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth + 100")

    def shades():
        """Return how far the left and the right edge differ from the paper (0 to 255)."""
        pixels = np.asarray(image.open(io.BytesIO(box.screenshot())).convert("L")).astype(int)
        paper = int(np.median(pixels))
        # The brightest or darkest that a whole column of pixels agrees on: letters and lines drop out.
        return [abs(int(np.median(pixels[60:, x])) - paper) for x in (1, -2)]

    left, right = shades()
    assert left < 5
    assert right > 25
    box.evaluate("e => { e.scrollLeft = e.scrollWidth }")
    left, right = shades()
    assert left > 25
    assert right < 5
    page.close()

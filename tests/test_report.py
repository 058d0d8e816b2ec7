import pandas as pd

from boundary_research.classifier.decisions import CodedIncidents, tabulate
from boundary_research.study.report import (
    Paragraph,
    ReportTable,
    Section,
    render_report,
    write_coding_report,
)


def test_every_text_is_escaped():
    bad = "<script>alert(1)</script>"
    section = Section(
        "s", bad, [Paragraph(bad)], [bad], [], [ReportTable(bad, [bad], [[bad]], note=bad)]
    )
    page = render_report(bad, [section], facts=[(bad, bad)], notice=bad, lead=bad)
    assert "<script" not in page


def test_coding_report_counts_what_was_coded_and_set_aside(tmp_path):
    import numpy as np

    probabilities = np.array([[0.9, 0.1], [0.5, 0.1], [0.1, 0.1]])
    decisions = np.array(
        [["present", "absent"], ["review", "absent"], ["absent", "absent"]], dtype=object
    )
    coded = tabulate(list("xyz"), ["late", "gone"], probabilities, probabilities > 0.4, decisions)
    rejects = pd.DataFrame(
        {"row": [4, 5], "incident_id": [None, "q"], "reason": ["no id", "no text"]}
    )
    coding = CodedIncidents(coded, pd.DataFrame(), rejects, ["late", "gone"])
    path = write_coding_report(
        coding,
        tmp_path,
        source={"file": "in.csv", "encoding": "cp1252"},
        model_description="A model.",
    )
    page = path.read_text("utf-8")
    for piece in ("in.csv", "cp1252", "A model.", "no text", "not a risk"):
        assert piece in page
    assert "<b>3</b>incidents coded" in page
    assert "<b>2</b>with at least one category" in page
    assert "<b>1</b>with a category to review" in page

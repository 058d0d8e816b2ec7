import copy
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from study_runs import LABELS, N, shared_run, write_figures

from boundary_research import DataError
from boundary_research.classifier.decisions import CodedIncidents, tabulate
from boundary_research.coding.reliability import agreement_table, confusion_of_categories
from boundary_research.coding.reliability_plots import plot_agreement, plot_confusion
from boundary_research.study.agreement import write_agreement
from boundary_research.study.limitations import list_limitations
from boundary_research.study.methods_text import methods_section
from boundary_research.study.report import render_report, write_coding_report
from boundary_research.study.report_parts import (
    Paragraph,
    Report,
    ReportTable,
    Section,
    data_uri,
    read_report,
)
from boundary_research.study.report_sections import (
    build_report,
    summary_section,
    write_study_report,
)
from boundary_research.study.report_words import effect_column, plural, term_words
from boundary_research.study.result_sections import registration_section


class Page(HTMLParser):
    """What a reader and a screen reader find on a page."""

    def __init__(self, text):
        super().__init__()
        self.text, self.links, self.alts, self.ids, self.tags = "", [], [], [], []
        self.downloads, self.captions, self._inside = {}, [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.links += [attrs[k] for k in ("src", "href") if k in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            self.alts.append(attrs["alt"])
        if "download" in attrs:
            self.downloads[attrs["download"]] = unquote(attrs["href"].split(",", 1)[1])
        if tag == "caption":
            self.captions.append("")
            self._inside = True

    def handle_endtag(self, tag):
        if tag == "caption":
            self._inside = False

    def handle_data(self, data):
        self.text += data
        if self._inside:
            self.captions[-1] += data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.fixture(scope="module")
def page(run):
    write_figures(run)
    return Page(write_study_report(run).read_text("utf-8"))


def methods(run):
    return "\n".join(part.text for part in methods_section(run).paragraphs)


def with_plan(run, **changes):
    return replace(run, plan=replace(run.plan, **changes))


def test_every_text_is_escaped():
    bad = "<script>alert(1)</script>"
    table = ReportTable(bad, [bad, bad], [[bad, bad]], bad, name=bad, spanners=((bad, 1), (bad, 1)))
    grouped = replace(table, grouped=True, folded=True, text_columns=(bad,))
    section = Section("s", bad, [Paragraph(bad)], [bad], [], [table, grouped])
    report = Report(bad, [section], [(bad, bad)], bad, bad, (bad,))
    for document in (False, True):
        assert "<script" not in render_report(report, document=document)


def test_report_stands_alone_and_its_links_lead_somewhere(page):
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert len(page.alts) == 6
    assert all(page.alts)
    assert "script" not in page.tags


def test_no_narrative_is_in_any_file_of_the_report(run, page):
    for file in run.folder.rglob("*"):
        if file.suffix in (".html", ".json", ".tex", ".csv"):
            assert "Secret narrative" not in file.read_text("utf-8"), file.name


def test_notice_is_called_fictional_only_where_it_is():
    for notice, title in (("Cases are invented.", "Fictional data."), ("A draft.", "Please note.")):
        text = Page(render_report(Report("t", [], notice=notice))).text
        assert f"{title} {notice}" in text


def test_summary_names_agreement_and_terms_in_words(run):
    text = " ".join(summary_section(run).bullets)
    table = run.tables["reliability"]
    alpha = table[
        (table["category"] == "(overall)")
        & (table["coefficient"] == "Krippendorff's alpha, nominal")
    ]["estimate"].iloc[0]
    assert f"Krippendorff's alpha {alpha:.2f}" in text
    assert "small against large communities" in text
    assert "[T." not in text
    passed = run.tables["risk_factors"].query("estimator == 'ppi' and missing == 'complete_case'")
    count = int((passed["p_adjusted"] < 0.05).sum())
    assert (
        f"Of 3 tests of small against large communities (corrected for the model's errors), {count} remain"
        in text
    )
    assert "No plan was registered" in text


def test_methods_say_what_was_run(run):
    text = methods(run)
    book = run.codebook
    for piece in (
        f"{N} reports of incidents",
        "stratified random sample by community",
        "seed of the draw: 3",
        f"version {book.version}, sha256 {book.content_hash[:12]}",
        "Two coders (ann and bea)",
        "they were people",
        "Two days with the codebook",
        "dealt to 4 folds, with all narratives of one agency in the same fold",
        "Egami and others 2023",
        "clustered by agency (30 clusters)",
        "Satterthwaite",
        "by a logistic regression",
        "small against large communities",
        "3 tests",
        "Benjamini–Hochberg",
        "multiple imputation",
        "seed 5",
        f"pandas {pd.__version__}",
    ):
        assert piece in text, piece


def test_methods_follow_the_plan_where_it_differs(run):
    machines = tuple({**coder, "kind": "language_model"} for coder in run.plan.coders)
    assert "they were large language models" in methods(with_plan(run, coders=machines))
    assert "the plan does not say what they were" in methods(with_plan(run, coders=()))
    mixed = (run.plan.coders[0], machines[1])
    assert "a person and a large language model" in methods(with_plan(run, coders=mixed))
    holm = tuple({**one, "adjust": "holm"} for one in run.plan.analyses)
    assert "Holm's method (Holm 1979)" in methods(with_plan(run, analyses=holm))
    none = tuple({**one, "adjust": None} for one in run.plan.analyses)
    assert "not adjusted" in methods(with_plan(run, analyses=none))
    alone = {**run.plan.prevalence, "clusters": None}
    assert "taken as independent" in methods(with_plan(run, prevalence=alone))
    bundled = {"train_on": "bundled", "folds": 5}
    text = methods(with_plan(run, classifier=bundled))
    assert "bundled fictional corpus" in text
    assert "folds" not in text
    beside = copy.copy(run)
    beside.tables = {**run.tables, "extra": run.tables["risk_factors"]}
    assert "This analysis was made beside the plan." in methods(beside)
    control = {"category": "gossip", "reason": "Nobody asks."}
    assert "Gossip <spread> was named as a negative control" in methods(
        with_plan(run, negative_control=control)
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "scaled by |r| with r their"),
        (0.25, "scaled by 0.75 + 0.25 |r|"),
        (0.0, "3- to 5-grams;"),
    ],
)
def test_methods_tell_the_parameters_of_the_model(run, share, words):
    model = copy.copy(run.model).set_params(ratio_share=share, C=2.5, words=None)
    text = methods(replace(run, model=model))
    assert words in text
    assert "C = 2.5" in text
    assert "word 1-" not in text


def test_few_clusters_are_said_to_be_bootstrapped(run):
    tables = {**run.tables, "prevalence": run.tables["prevalence"].assign(n_clusters=12)}
    text = methods(replace(run, tables=tables))
    assert "(12 clusters)" in text
    assert "wild cluster bootstrap" in text


def test_a_registered_plan_is_compared(tmp_path_factory):
    run = shared_run(tmp_path_factory, register=True)
    table = run.tables["registration"]
    same = int((table["verdict"] == "as registered").sum())
    assert f"{same} were run as registered" in " ".join(summary_section(run).bullets)
    section = registration_section(run)
    assert [row[0] for row in section.tables[0].rows] == list(table["item"])
    assert "The plan as it was registered" in section.paragraphs[0].text
    assert "The plan was registered (" in methods(run)
    assert not any("was not registered" in text for text in list_limitations(run))


def test_an_unregistered_plan_is_not_called_registered(run):
    shown = registration_section(run).tables[0].rows
    verdicts = {row[3] for row in shown}
    assert "as planned" in verdicts
    assert "as registered" not in verdicts


def test_a_run_without_agreement_says_so(run):
    tables = {name: table for name, table in run.tables.items() if name != "reliability"}
    bare = replace(run, tables=tables)
    report = build_report(bare)
    assert "reliability" not in [section.id for section in report.sections]
    assert "Agreement between coders was not measured." in summary_section(bare).bullets
    assert any("Agreement between coders was not measured" in t for t in list_limitations(bare))


def test_numbers_behind_figures_and_tables_can_be_saved(run, page):
    saved = page.downloads
    shares = pd.read_csv(io.StringIO(saved["prevalence.csv"]))
    pd.testing.assert_frame_equal(
        shares[["category", "estimator", "estimate"]],
        run.tables["prevalence"][["category", "estimator", "estimate"]],
        check_dtype=False,
        check_exact=True,
    )
    forest = pd.read_csv(io.StringIO(saved["figure_risk_factors.csv"]))
    assert set(forest["estimator"]) == {"naive", "gold_only", "ppi"}
    assert set(forest["term"]) == {"community[T.small]"}
    # The cells that the page shows are those of the data.
    one = forest.iloc[0]
    assert f"{one['odds_ratio']:.4g}" in page.text


def test_tables_have_captions_and_headers_that_name_their_cells(run, page):
    tables = list(build_report(run).tables())
    assert [caption.split(". ", 1)[1] for caption in page.captions] == [t.caption for t in tables]
    text = (run.folder / "report.html").read_text("utf-8")
    for attribute in re.findall(r'<td headers="([^"]+)"', text):
        assert set(attribute.split()) <= set(page.ids)


def test_shares_in_the_table_are_those_of_the_estimates(run):
    table = next(t for t in build_report(run).tables() if t.name == "prevalence")
    corrected = run.tables["prevalence"].query("estimator == 'ppi'").set_index("category")
    for row, (name, label) in zip(table.rows, LABELS.items(), strict=True):
        assert row[0] == label
        assert row[-2] == f"{100 * corrected.loc[name, 'estimate']:.1f}"
    assert table.headings()[-2] == "corrected (PPI++): %"


def test_effects_stand_by_category_with_both_ways_of_missing(run):
    table = next(t for t in build_report(run).tables() if t.name == "risk_factors")
    assert [row[0] for row in table.rows] == [label for label in LABELS.values() for _ in range(2)]
    rows = run.tables["risk_factors"].query("term != 'Intercept' and estimator == 'ppi'")
    quoted = rows.set_index(["category", "missing"])
    row = quoted.loc[("money", "complete_case")]
    assert table.rows[0][1] == "complete cases"
    assert table.rows[0][4].startswith(f"{row['odds_ratio']:.2f} (")


@pytest.mark.parametrize(
    ("column", "words"), [("odds_ratio", "odds ratio"), ("ratio", "ratio of shares")]
)
def test_effects_are_named_by_their_kind(run, column, words):
    table = run.tables["risk_factors"].rename(columns=lambda c: c.replace("odds_ratio", column))
    assert effect_column(table) == (column, words)
    text = methods(replace(run, tables={**run.tables, "risk_factors": table}))
    assert words in text


def test_terms_in_words():
    row = {
        "term": "role[T.team_lead]",
        "variable": "role",
        "level": "team_lead",
        "reference": "nurse",
    }
    assert term_words(row) == "team lead against nurse roles"
    odd = {"term": "a[T.x]:b[T.y]", "variable": None, "level": None, "reference": None}
    assert term_words(odd) == "a x with b y"
    assert [plural(w) for w in ("agency", "case", "box", "survey")] == [
        "agencies", "cases", "boxes", "surveys",
    ]  # fmt: skip


def test_report_files_can_be_read_back(run, page):
    again = read_report(run.folder)
    first = build_report(run)
    assert json.dumps(again.to_json()) == json.dumps(first.to_json())
    assert list(again.tables()) == list(first.tables())
    assert all(figure.picture().startswith(b"\x89PNG") for figure in again.figures())
    names = {file.name for file in (run.folder / "tables").iterdir()}
    assert {f"{t.name}.tex" for t in first.tables()} <= names
    # Tables that only the report has; those of the run are written by the run.
    assert "sample.csv" in names
    assert (run.folder / "checklist.csv").exists()
    assert (run.folder / "figures" / "agreement.csv").exists()


def test_same_run_same_files(run, page):
    def content():
        files = [f for f in run.folder.rglob("*") if f.is_file()]
        return {file.name: file.read_bytes() for file in files}

    before = content()
    write_study_report(run)
    assert content() == before


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "title": "t", "sections": [1]}']
)
def test_a_report_of_another_kind_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"holds no report\.json"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match="not written by this version"):
        read_report(tmp_path)


def test_table_csv_round_trips_awkward_cells():
    table = ReportTable(
        "c", ["a", "b"], [['x,"y"', "1\n2"], ["ä", ""]], spanners=(("", 1), ("s", 1))
    )
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [["a", "s: b"], *table.rows]
    assert unquote(data_uri(table.to_csv()).split(",", 1)[1]) == table.to_csv()


def test_limitations_fit_the_design(run):
    text = " ".join(list_limitations(run))
    assert "Case-only data" in text
    assert "30 clusters (agencies)" in text
    assert "community is not stated" in text
    assert "Language models" not in text
    machines = tuple({**coder, "kind": "language_model"} for coder in run.plan.coders)
    assert "Language models coded" in " ".join(list_limitations(with_plan(run, coders=machines)))
    alone = {**run.plan.prevalence, "clusters": None, "by": []}
    text = " ".join(list_limitations(with_plan(run, prevalence=alone)))
    assert "taken as independent" in text
    assert "is not stated" not in text
    notice = list_limitations(with_plan(run, notice="All of it is fictional."))
    assert notice[0] == "All of it is fictional."


def test_limitations_name_what_is_rare_weak_and_disputed(run):
    gold = run.gold.copy()
    gold.loc[gold["category"] == "gossip", "present"] = False
    table = run.tables["reliability"].copy()
    weak = (table["category"] == "money") & table["coefficient"].str.startswith("Krippendorff")
    table.loc[weak, "estimate"] = 0.4
    metrics = run.tables["metrics"].copy()
    metrics.loc[(metrics["category"] == "absence") & (metrics["metric"] == "f1"), "estimate"] = 0.2
    changed = replace(
        run, gold=gold, tables={**run.tables, "reliability": table, "metrics": metrics}
    )
    text = " ".join(list_limitations(changed))
    assert "fewer than 10 coded narratives show Gossip <spread>" in text
    assert "Agreement was low (alpha below 0.667) for Money & gifts" in text
    assert "weak (F1 below 0.5) for Absence_of help" in text
    before = " ".join(list_limitations(run))
    assert "fewer than 10" not in before
    assert "weak" not in before


def _codings():
    rows = [
        (f"i{i}", coder, category, (i + j + (coder == "b" and i % 5 == 0)) % 2 == 0)
        for i in range(20)
        for coder in ("a", "b")
        for j, category in enumerate(["one", "two"])
    ]
    return pd.DataFrame(rows, columns=["incident_id", "coder_id", "category", "present"])


def test_confusion_is_written_with_the_names_of_its_rows(tmp_path):
    _codings().to_csv(tmp_path / "codings.csv", index=False)
    write_agreement(tmp_path / "codings.csv", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "confusion.csv", index_col="category")
    expected = confusion_of_categories(_codings())
    assert list(table.index) == list(expected.index)
    np.testing.assert_array_equal(table.to_numpy(), expected.to_numpy())


def test_figures_of_agreement_take_labels():
    import matplotlib.pyplot as plt

    labels = {"one": "The first category"}
    axes = plot_agreement(agreement_table(_codings(), random_state=0), labels=labels)
    ticks = [tick.get_text().split("\n")[0] for tick in axes.get_yticklabels()]
    assert ticks[:2] == ["The first category", "two"]
    axes = plot_confusion(confusion_of_categories(_codings()), labels=labels)
    assert axes.get_xticklabels()[0].get_text() == "The first category"
    assert axes.get_yticklabels()[0].get_text().startswith("The first category (")
    plt.close("all")


def test_coding_report_counts_what_was_coded_and_set_aside(tmp_path):
    probabilities = np.array([[0.9, 0.1], [0.5, 0.1], [0.1, 0.1]])
    decisions = np.array(
        [["present", "absent"], ["review", "absent"], ["absent", "absent"]], dtype=object
    )
    coded = tabulate(list("xyz"), ["late", "gone"], probabilities, probabilities > 0.4, decisions)
    rejects = pd.DataFrame(
        {"row": [4, 5], "incident_id": [None, "q"], "reason": ["no id", "no text"]}
    )
    unlike = pd.DataFrame({"incident_id": ["x", "y"], "reason": ["length and words", "length"]})
    coding = CodedIncidents(coded, pd.DataFrame(), rejects, ["late", "gone"], unlike)
    path = write_coding_report(
        coding,
        tmp_path,
        source={"file": "in.csv", "encoding": "cp1252"},
        decisions_description="They held up.",
        model_description="A model.",
    )
    page = path.read_text("utf-8")
    for piece in ("in.csv", "cp1252", "A model.", "They held up.", "no text", "not a risk"):
        assert piece in page
    assert "<b>3</b>incidents coded" in page
    assert "<b>2</b>unlike what the model was checked on" in page
    assert "2 longer than any of those and 1 with less" in page
    assert "unfamiliar.csv" in page
    assert "<b>2</b>with at least one category" in page
    assert "<b>1</b>with a category to review" in page

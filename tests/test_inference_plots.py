"""Figures show the numbers of their tables, name the estimand, and read in grey print."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from boundary_research._checks import DataError
from boundary_research.codebook.model import load_codebook
from boundary_research.inference._figure_style import (
    ESTIMATOR_MARKS,
    group_marks,
    interval_text,
    ratio_ticks,
)
from boundary_research.inference.plots import (
    plot_coverage,
    plot_error_by_group,
    plot_forest,
    plot_prevalence,
    plot_tipping_point,
)
from boundary_research.inference.sensitivity import reporting_tipping_point

CODEBOOK = load_codebook()
CATEGORIES = CODEBOOK.category_ids
LABELS = {c.id: c.label for c in CODEBOOK.categories} | {a.id: a.label for a in CODEBOOK.attributes}
LEVELS = ["rural", "small_community_nonrural"]


def forest_table(categories=CATEGORIES, levels=LEVELS, estimators=("naive", "gold_only", "dsl")):
    rng = np.random.default_rng(1)
    rows = []
    for category in categories:
        for level in levels:
            for estimator in estimators:
                log = rng.normal(0, 0.6)
                error = {"naive": 0.1, "gold_only": 0.5, "dsl": 0.35}[estimator]
                rows.append(
                    {
                        "term": f"setting[T.{level}]",
                        "category": category,
                        "estimator": estimator,
                        "odds_ratio": np.exp(log),
                        "odds_ratio_low": np.exp(log - 2 * error),
                        "odds_ratio_high": np.exp(log + 2 * error),
                        "variable": "setting",
                        "level": level,
                        "reference": "urban",
                    }
                )
    return pd.DataFrame(rows)


def prevalence_table(groups=None):
    rng = np.random.default_rng(2)
    rows = []
    for group in groups or [""]:
        for k, category in enumerate(CATEGORIES):
            for estimator in ("naive", "gold_only", "dsl", "ppi"):
                share = 0.02 + 0.02 * k + rng.uniform(0, 0.02)
                rows.append((group, category, estimator, share, share - 0.015, share + 0.015))
    columns = ["setting", "category", "estimator", "estimate", "conf_low", "conf_high"]
    table = pd.DataFrame(rows, columns=columns)
    return table if groups else table.drop(columns="setting")


def error_table():
    rng = np.random.default_rng(3)
    rows = []
    for category in CATEGORIES:
        for measure, rate in (("sensitivity", 0.7), ("specificity", 0.93)):
            p_value = rng.choice([0.0001, 0.02, 0.4])
            for group in ["all", "urban", "rural", "small_community_nonrural"]:
                value = rate + rng.uniform(-0.05, 0.05)
                rows.append(
                    (category, "setting", group, measure, value, value - 0.1, value + 0.06, p_value)
                )
    columns = [
        "category",
        "by",
        "group",
        "measure",
        "estimate",
        "conf_low",
        "conf_high",
        "p_adjusted",
    ]
    return pd.DataFrame(rows, columns=columns)


def coverage_table():
    rows = [
        (category, term, estimator, value, 2000)
        for category in CATEGORIES[:4]
        for term in ("share", "setting[T.rural]")
        for estimator, value in (("naive", 0.5), ("gold_only", 0.951), ("dsl", 0.946))
    ]
    return pd.DataFrame(rows, columns=["category", "term", "estimator", "coverage", "n_runs"])


FIGURES = {
    "forest": lambda: plot_forest(forest_table(), labels=LABELS, title="Associations"),
    "forest of one term": lambda: plot_forest(forest_table(levels=["rural"]), labels=LABELS),
    "prevalence": lambda: plot_prevalence(prevalence_table(), labels=LABELS, title="Shares"),
    "prevalence by group": lambda: plot_prevalence(
        prevalence_table(["urban", "town", *LEVELS]), labels=LABELS
    ),
    "tipping point": lambda: plot_tipping_point(
        reporting_tipping_point(forest_table(levels=["rural"])), labels=LABELS
    ),
    "one tipping point": lambda: plot_tipping_point(
        reporting_tipping_point(forest_table(CATEGORIES[:1], ["rural"])), labels=LABELS
    ),
    "error by group": lambda: plot_error_by_group(error_table(), labels=LABELS, title="Errors"),
    "coverage": lambda: plot_coverage(coverage_table(), labels=LABELS),
}


def texts_of(figure):
    found = [t for axes in figure.axes if axes.get_visible() for t in axes.texts]
    for axes in figure.axes:
        if axes.get_visible():
            low, high = axes.get_xlim()
            found += [t for t in axes.get_yticklabels() if t.get_visible()]
            found += [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
            found += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
    found += [t for legend in figure.legends for t in legend.get_texts()]
    return [t for t in found if t.get_text().strip()]


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_overlaps_or_leaves_the_figure(name):
    figure = FIGURES[name]()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    width, height = figure.bbox.size
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts_of(figure)]
    assert len(boxes) > 5
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, text
    for i, (first, box) in enumerate(boxes):
        for second, other in boxes[i + 1 :]:
            x = min(box.x1, other.x1) - max(box.x0, other.x0)
            y = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert x < 2 or y < 2, (first, second)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_open_no_window_and_change_no_setting(name):
    import matplotlib.pyplot as plt

    before, windows = dict(mpl.rcParams), plt.get_fignums()
    FIGURES[name]()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == windows


def drawn_points(axes):
    """x of all marks, by shape."""
    found = {}
    for line in axes.lines:
        if len(line.get_xdata()) == 1 and line.get_marker() not in "<>":
            found.setdefault(line.get_marker(), []).append(float(line.get_xdata()[0]))
    return found


def test_a_forest_plot_shows_every_estimator_of_every_term():
    table = forest_table()
    axes = plot_forest(table, labels=LABELS).axes[0]
    points = drawn_points(axes)
    for estimator, rows in table.groupby("estimator"):
        shape = ESTIMATOR_MARKS[estimator].shape
        assert sorted(points[shape]) == pytest.approx(sorted(rows["odds_ratio"]))
    assert "odds ratio" in axes.get_xlabel()
    assert "reported incidents" in axes.get_xlabel()
    assert axes.get_xscale() == "log"
    rows = [t.get_text().replace("\n", " ") for t in axes.get_yticklabels()]
    assert len(rows) == 14 * 3
    assert rows[0] == CODEBOOK.categories[0].label
    assert rows[1] == "Setting: rural (against urban)"
    first = table.query("estimator == 'dsl'").iloc[0]
    text = interval_text(*first[["odds_ratio", "odds_ratio_low", "odds_ratio_high"]])
    assert text in {t.get_text() for t in axes.texts}


def test_intervals_that_run_off_the_axis_end_in_an_arrow():
    table = forest_table(CATEGORIES[:2], ["rural"])
    table.loc[0, ["odds_ratio_low", "odds_ratio_high"]] = [1e-4, 1e4]
    axes = plot_forest(table).axes[0]
    arrows = [line.get_marker() for line in axes.lines if line.get_marker() in ("<", ">")]
    assert sorted(arrows) == ["<", ">"]
    low, high = axes.get_xlim()
    assert low > 1e-3
    assert high < 1e3


def test_intercepts_and_rows_held_back_are_left_out():
    table = forest_table(CATEGORIES[:2], ["rural"])
    intercept = table.iloc[[0]].assign(term="Intercept", odds_ratio=77.0)
    table = pd.concat([table, intercept], ignore_index=True)
    table.loc[3:5, "odds_ratio"] = np.nan
    axes = plot_forest(table).axes[0]
    assert len(axes.get_yticklabels()) == 1
    assert all(77.0 not in points for points in drawn_points(axes).values())


def test_complete_cases_are_drawn_unless_imputation_is_asked_for():
    table = forest_table(CATEGORIES[:1], ["rural"])
    both = pd.concat(
        [
            table.assign(missing="complete_case"),
            table.assign(missing="multiple_imputation", odds_ratio=1.0),
        ]
    )
    assert drawn_points(plot_forest(both).axes[0])["D"] != [1.0]
    assert drawn_points(plot_forest(both, missing="multiple_imputation").axes[0])["D"] == [1.0]
    with pytest.raises(DataError, match="missing 'none' not found"):
        plot_forest(both, missing="none")


def test_designs_are_named_in_words():
    table = forest_table(CATEGORIES[:1], ["rural"])
    table = pd.concat([table.assign(design=d) for d in ("no_category", "negative_control")])
    rows = plot_forest(table, labels=LABELS).axes[0].get_yticklabels()
    words = " ".join(" ".join(r.get_text() for r in rows).split())
    assert "against incidents of no category" in words
    assert "against the negative control" in words


def test_designs_of_several_categories_stand_under_the_category_in_question():
    table = forest_table(CATEGORIES[:2], ["rural"]).assign(design="no_category")
    table["in_question"] = table["category"]
    control = table.assign(category=CATEGORIES[2], design="control_against_no_category")
    figure = plot_forest(pd.concat([table, control]), labels=LABELS)
    words = [" ".join(t.get_text().split()) for t in figure.axes[0].get_yticklabels()]
    name = LABELS.get(CATEGORIES[2], CATEGORIES[2])
    assert sum(word.startswith(f"{name}: ") for word in words) == 2
    assert sum(word == name for word in words) == 0


def test_prevalence_is_drawn_in_per_cent_with_the_most_frequent_first():
    table = prevalence_table()
    axes = plot_prevalence(table, labels=LABELS).axes[0]
    assert axes.get_xlabel() == "share of reported incidents (%)"
    corrected = table.query("estimator == 'dsl'").sort_values("estimate", ascending=False)
    rows = [t.get_text().replace("\n", " ") for t in axes.get_yticklabels()]
    assert rows == [LABELS[c] for c in corrected["category"]]
    assert drawn_points(axes)["D"] == pytest.approx(corrected["estimate"].tolist())
    axes.figure.canvas.draw()
    assert "10" in [t.get_text() for t in axes.get_xticklabels()]


def test_prevalence_by_group_draws_one_estimator_by_groups():
    table = prevalence_table(["urban", "rural"])
    figure = plot_prevalence(table, labels=LABELS, estimator="ppi")
    points = drawn_points(figure.axes[0])
    expected = table.query("estimator == 'ppi'").groupby("setting")["estimate"].apply(sorted)
    assert sorted(points["o"]) == pytest.approx(expected["urban"])
    assert sorted(points["s"]) == pytest.approx(expected["rural"])
    assert "PPI" in figure.legends[0].get_title().get_text()
    with pytest.raises(DataError, match="estimator 'magic' not found"):
        plot_prevalence(table, estimator="magic")


def test_a_tipping_point_lies_where_the_curve_meets_one():
    table = reporting_tipping_point(forest_table(CATEGORIES[:1], ["rural"]))
    rows = table.query("estimator == 'dsl'")
    axes = plot_tipping_point(table).axes[0]
    points = drawn_points(axes)
    assert points["D"] == pytest.approx([rows["tipping_point"].iloc[0]])
    curve = next(line for line in axes.lines if len(line.get_xdata()) == len(rows))
    at = np.interp(np.log(points["D"][0]), np.log(curve.get_xdata()), np.log(curve.get_ydata()))
    assert at == pytest.approx(0, abs=1e-9)


def test_error_by_group_says_which_differ():
    figure = plot_error_by_group(error_table(), labels=LABELS)
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == ["sensitivity", "specificity"]
    notes = {t.get_text() for axes in figure.axes for t in axes.texts}
    assert {"yes: < .001", "yes: .020", ".400"} <= notes
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["urban", "rural", "small community nonrural"]


def test_coverage_marks_the_nominal_level():
    axes = plot_coverage(coverage_table()).axes[0]
    assert any(list(line.get_xdata()) == [0.95, 0.95] for line in axes.lines)
    assert "95% intervals" in axes.get_xlabel()


def luminance(colour):
    return float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722]))


def test_marks_differ_without_colour():
    marks = list(ESTIMATOR_MARKS.values())[:-1]
    assert len({mark.shape for mark in marks}) == len(marks)
    naive, gold, dsl = (ESTIMATOR_MARKS[n] for n in ("naive", "gold_only", "dsl"))
    assert not naive.filled
    assert luminance(naive.colour) > 0.2
    assert luminance(gold.colour) > luminance(dsl.colour) + 0.15
    groups = group_marks(list("abcdefgh"), {})
    assert len({mark.shape for mark in groups.values()}) == 8
    assert max(luminance(mark.colour) for mark in groups.values()) < 0.7  # seen on white


@pytest.mark.parametrize(("low", "high"), [(0.5, 2), (0.02, 40), (1e-4, 1e3), (0.9, 1.3)])
def test_ticks_of_ratios_are_few_and_plain(low, high):
    axes = mpl.figure.Figure().subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ratio_ticks(axes.xaxis)
    ticks = axes.get_xticks()
    assert 1 in ticks
    assert 1 <= len(ticks) <= 12


@pytest.mark.parametrize(
    "plot", [plot_forest, plot_prevalence, plot_tipping_point, plot_error_by_group, plot_coverage]
)
def test_tables_that_cannot_be_drawn(plot):
    with pytest.raises(DataError, match="not found"):
        plot(pd.DataFrame({"x": [1]}))
    with pytest.raises(DataError, match="DataFrame is needed"):
        plot([1, 2])


def test_nothing_left_to_draw():
    table = forest_table(CATEGORIES[:1])
    table["odds_ratio"] = np.nan
    with pytest.raises(DataError, match="nothing to draw"):
        plot_forest(table)
    with pytest.raises(DataError, match="nothing to draw"):
        plot_forest(forest_table(), estimators=["ppi"])

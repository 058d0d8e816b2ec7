"""Model cards: what a model was trained on, how often it errs, and where it must not be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from boundary_research._checks import DataError, check_columns
from boundary_research._files import hash_file, write_text
from boundary_research.classifier.evaluation import METRIC_COLUMNS
from boundary_research.classifier.risk_control import describe_decisions

if TYPE_CHECKING:
    from boundary_research.classifier.model import NarrativeClassifier

_SHOWN = ["precision", "recall", "f1", "average_precision", "brier"]
_LIMITS = (
    "The model decides on words. It cannot know what was not written down, and it errs more on "
    "text unlike its training text (other services, countries, years, kinds of report).",
    "A code is no finding about a person. Nobody may be judged by it; it serves to count kinds of "
    "incidents in many reports.",
    "Shares and regressions of the model's codes are biased even where it is accurate. Draw a "
    "probability sample, code it by hand, and estimate with `prevalence` and `risk_factors`.",
)


def describe_model(
    model: NarrativeClassifier,
    *,
    name: str,
    trained_on: str,
    metrics: pd.DataFrame | None = None,
    measured_on: str = "",
    notice: str = "",
    limits: Sequence[str] = (),
) -> str:
    """Return a model's card as Markdown (after Mitchell and others 2019, *Model cards*).

    Parameters
    ----------
    model : NarrativeClassifier
        Fitted.
    name : str
        What the model is called.
    trained_on : str
        Whose narratives, who coded them, and when: one or two sentences.
    metrics : DataFrame, optional
        From `evaluate`, on narratives that the model has not seen.
    measured_on : str
        What those narratives were.
    notice : str
        Put first (that narratives are fictional, say).
    limits : sequence of str
        Beside those that hold for every model of this kind.

    Raises
    ------
    DataError
        If `metrics` is not a table of `evaluate`.

    Examples
    --------
    >>> from boundary_research.classifier.model import NarrativeClassifier
    >>> codes = pd.DataFrame({"money": [True, False] * 10})
    >>> model = NarrativeClassifier().fit(["He lent money.", "She left."] * 10, codes)
    >>> card = describe_model(model, name="Example", trained_on="Two made-up sentences.")
    >>> card.splitlines()[0]
    '# Model card: Example'
    """
    check_is_fitted(model, "coef_")
    parts = [f"# Model card: {name}"]
    parts += [f"> {notice}"] if notice else []
    parts += [
        "## What it does",
        f"Codes incident narratives into {len(model.classes_)} categories, several at once: "
        f"{_method(model)}, with calibrated probabilities and a "
        "threshold for each category. `decide` says `review` where neither answer is safe enough.",
        *_guarantee(model),
        *_reach(model),
        "## What it was trained on",
        f"{_end(trained_on)} The file holds {_contents(model)} and no narrative.",
        _markdown(_training_table(model)),
    ]
    if model.notes_:
        parts += ["\n".join(f"- {key}: {text}" for key, text in sorted(model.notes_.items()))]
    parts += ["## How often it is right"]
    if metrics is None:
        parts += ["Not measured. Code a probability sample by hand and use `evaluate`."]
    else:
        check_columns(metrics.columns, METRIC_COLUMNS, source="metrics")
        parts += [
            f"{_end(measured_on)} Estimates with their intervals.".strip(),
            _markdown(_metrics_table(metrics)),
        ]
    parts += ["## What it must not be used for", "\n".join(f"- {x}" for x in (*_LIMITS, *limits))]
    parts += ["## Settings", _settings(model)]
    return "\n\n".join(parts) + "\n"


def save_with_card(
    model: NarrativeClassifier,
    path: str | Path,
    *,
    name: str,
    trained_on: str,
    metrics: pd.DataFrame | None = None,
    measured_on: str = "",
    notice: str = "",
    limits: Sequence[str] = (),
) -> tuple[Path, Path]:
    """Save a model and, beside it, its card ``<path>.md``, which names the model file's hash.

    Parameters
    ----------
    model : NarrativeClassifier
    path : str or pathlib.Path
        The model file, ``.npz``.
    name, trained_on, metrics, measured_on, notice, limits
        As for `describe_model`.

    Returns
    -------
    tuple of pathlib.Path
        Model file and card.
    """
    file = model.save(path)
    card = describe_model(
        model,
        name=name,
        trained_on=trained_on,
        metrics=metrics,
        measured_on=measured_on,
        notice=notice,
        limits=limits,
    )
    card += f"\n## File\n\n`{file.name}`, SHA-256 `{hash_file(file)}`.\n"
    return file, write_text(file.with_suffix(".md"), card)


def _guarantee(model: NarrativeClassifier) -> list[str]:
    if not getattr(model, "risk_control_", {}):
        return []
    return [
        f"The limits of its decisions were set by risk control, not by the settings `precision` "
        f"and `miss_rate`. {describe_decisions(model)}"
    ]


def _end(text: str) -> str:
    """Return a sentence with its full stop."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _reach(model: Any) -> list[str]:
    """Say which narratives are unlike those that the model was checked on."""
    checked_on = getattr(model, "checked_on_", None)
    if checked_on is None or not checked_on.longest:
        return []
    unknown = (
        ""
        if np.isnan(checked_on.known)
        else ", or with less than half the usual share of words that it knows,"
    )
    return [
        f"It was checked on narratives of up to {checked_on.longest} words. Longer ones{unknown} "
        "are listed by `find_unfamiliar`, and `code` leaves all decisions on them to `review`."
    ]


def _method(model: Any) -> str:
    if hasattr(model, "members_"):
        return "the mean log-odds of " + "; and of ".join(_method(m) for m in model.members_)
    if hasattr(model, "onnx_"):
        return "a transformer that scores every token, fine-tuned"
    return "logistic regression on word and character n-grams"


def _contents(model: Any) -> str:
    if hasattr(model, "members_"):
        return ", ".join(_contents(member) for member in model.members_)
    if hasattr(model, "onnx_"):
        return "the transformer's weights and vocabulary"
    return f"n-grams that at least {model.min_narratives} narratives share, their weights"


def _settings(model: Any) -> str:
    own = {k: v for k, v in model.get_params(deep=False).items() if k != "members"}
    text = ", ".join(f"{key} {value}" for key, value in sorted(own.items())) + "."
    return "\n\n".join([text, *(_settings(m) for m in getattr(model, "members_", []))])


def _training_table(model: NarrativeClassifier) -> pd.DataFrame:
    positive = np.asarray(model.n_positive_, dtype=int)
    return pd.DataFrame(
        {
            "category": [str(c) for c in model.classes_],
            "narratives with it": positive.astype(str),
            "threshold": [f"{t:.2f}" for t in model.thresholds_],
        }
    )


def _metrics_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return a row a category and a column a metric, with intervals where there are any."""

    def cell(row: pd.Series) -> str:
        if pd.isna(row["estimate"]):
            return "–"
        text = f"{row['estimate']:.2f}"
        if pd.notna(row["conf_low"]):
            text += f" ({row['conf_low']:.2f}–{row['conf_high']:.2f})"
        return text

    shown = metrics[metrics["metric"].isin(_SHOWN)].copy()
    if shown.empty:
        raise DataError("metrics: no metric of `evaluate` is in it. Give the table as it came.")
    shown["cell"] = shown.apply(cell, axis=1)
    wide = shown.pivot(index="category", columns="metric", values="cell")
    wide = wide.reindex(index=shown["category"].unique(), columns=_SHOWN).fillna("")
    counts = shown.drop_duplicates("category").set_index("category")["n_positive"]
    wide.insert(0, "n", counts.reindex(wide.index).astype(int).astype(str))
    wide = wide.rename(columns={name: name.replace("_", " ") for name in _SHOWN})
    return wide.reset_index()


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

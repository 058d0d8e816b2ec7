"""From the tables of incidents, model codes and gold codes to arrays in one order of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, rows_text
from boundary_research._tables import REQUIRED, as_bool, check_table
from boundary_research.inference._wide_codes import widen_codes


@dataclass
class Codes:
    """Model and gold codes of n incidents and K categories; the gold ones of g incidents.

    Attributes
    ----------
    ids : pandas.Index of length n
    predicted, probability : shape (n, K)
    rows : shape (g,)
        Positions of the gold incidents.
    gold : shape (g, K)
    inclusion_probability : shape (g,)
    strata, units : shape (g,), optional
        Strata of a draw of fixed sizes, and the clusters of a draw of clusters.
    fold : shape (n,), optional
        Fold of an out-of-fold prediction.
    notes : list of str
    """

    ids: pd.Index
    categories: list[str]
    predicted: np.ndarray
    probability: np.ndarray
    rows: np.ndarray
    gold: np.ndarray
    inclusion_probability: np.ndarray
    strata: np.ndarray | None = None
    units: np.ndarray | None = None
    fold: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def take(self, keep: np.ndarray) -> Codes:
        """Return the codes of some incidents, given as a mask of shape (n,)."""
        position = np.cumsum(keep) - 1
        drawn = keep[self.rows]
        return Codes(
            ids=self.ids[keep],
            categories=self.categories,
            predicted=self.predicted[keep],
            probability=self.probability[keep],
            rows=position[self.rows[drawn]],
            gold=self.gold[drawn],
            inclusion_probability=self.inclusion_probability[drawn],
            strata=None if self.strata is None else self.strata[drawn],
            units=None if self.units is None else self.units[drawn],
            fold=None if self.fold is None else self.fold[keep],
            notes=self.notes,
        )


def _gold_probability(gold: pd.DataFrame) -> None:
    """Raise unless the gold table has inclusion probabilities in (0, 1], one an incident."""
    if "inclusion_probability" not in gold.columns or gold["inclusion_probability"].isna().all():
        raise DataError(
            "table gold: column 'inclusion_probability' not found. Without the probability "
            "with which "
            "each narrative was drawn for human coding, the correction would be wrong. Join "
            "the column "
            "from the sample table; if every narrative was coded, set it to 1."
        )
    values = pd.to_numeric(gold["inclusion_probability"], errors="coerce")
    probability = values.to_numpy(dtype=float)
    missing = np.flatnonzero(np.isnan(probability))
    if len(missing):
        raise DataError(
            f"table gold: inclusion_probability is missing in "
            f"{rows_text([int(i) + 1 for i in missing])}. Narratives picked without a known "
            f"probability "
            f"cannot be used for estimation; leave them out or find the probability."
        )
    wrong = np.flatnonzero(~((probability > 0) & (probability <= 1)))
    if len(wrong):
        raise DataError(
            f"table gold: inclusion_probability must lie in (0, 1], but does not in "
            f"{rows_text([int(i) + 1 for i in wrong])}. Give probabilities, not weights or "
            f"per cents."
        )
    spread = gold.groupby("incident_id", observed=True)["inclusion_probability"]
    if (spread.max() - spread.min() > 1e-12).any():
        raise DataError(
            "table gold: inclusion_probability differs between rows of one incident. An "
            "incident is "
            "drawn once, for all categories; give it one probability."
        )


def align_codes(
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    trained_on_gold: bool | None = None,
    categories: list[str] | None = None,
) -> Codes:
    """Return model codes and gold codes as arrays.

    Parameters
    ----------
    coded : pandas.DataFrame
        Long table with incident_id, category, probability, decision; optional `predicted` (yes or
        no; else decision present, or for review a probability of at least 0.5), `fold` (of
        out-of-fold predictions) and `in_training` (the model saw the gold code of this row).
    gold : pandas.DataFrame
        Long table with incident_id, category, present, inclusion_probability, optional stratum
        and cluster (as the draws of `coding.sampling` give them).
    trained_on_gold : bool, optional
        Whether the model was trained on these gold codes. None: found out from `fold` and
        `in_training`, and refused where predictions agree with every gold code.
    categories : list of str, optional
        By default those that both tables have.
    """
    for frame, name in ((coded, "coded"), (gold, "gold")):
        if not isinstance(frame, pd.DataFrame):
            raise DataError(
                f"table {name}: a pandas DataFrame is needed, got {type(frame).__name__}."
            )
        if not len(frame):
            raise DataError(f"table {name} has no rows.")
    check_columns(gold.columns, REQUIRED["gold"], source="table gold")
    _gold_probability(gold)
    truth = check_table(gold, "gold")
    ids, names, arrays = widen_codes(coded)
    human = set(truth["category"].unique())
    wanted = human if categories is None else set(categories)
    chosen = [name for name in names if name in wanted & human]
    if not chosen or (categories is not None and len(chosen) < len(wanted)):
        raise DataError(
            f"Categories not found in both tables. Coded has {', '.join(names[:20])}; gold has "
            f"{', '.join(sorted(human)[:20])}."
        )
    notes = []
    left = [name for name in names if name not in chosen]
    if left and categories is None:
        notes.append(f"left out, no gold codes: {', '.join(left)}")
    columns = [names.index(name) for name in chosen]
    position = pd.Series(np.arange(len(ids)), index=ids)
    drawn = pd.Index(truth["incident_id"].unique())
    absent = drawn.difference(ids)
    if len(absent):
        raise DataError(
            f"{len(absent)} of {len(drawn)} gold incidents are not in table coded (the first is "
            f"{absent[0]!r}). Code them with the model too, or give the coded table that "
            f"belongs to "
            f"this sample."
        )
    wide = truth[truth["category"].isin(chosen)].pivot(
        index="incident_id", columns="category", values="present"
    )
    wide = wide.reindex(index=drawn, columns=chosen)
    if wide.isna().any().any():
        gaps = wide.isna().sum()
        listed = ", ".join(f"{name} ({count})" for name, count in gaps[gaps > 0].items())
        raise DataError(
            f"table gold: incidents have no row for some categories: {listed}. A category that was "
            f"looked at and found absent needs its own row; name the categories to use with "
            f"`categories` if some were not coded."
        )
    per_incident = truth.drop_duplicates("incident_id").set_index("incident_id").loc[drawn]
    codes = Codes(
        ids=ids,
        categories=chosen,
        predicted=arrays["predicted"][:, columns],
        probability=arrays["probability"][:, columns],
        rows=position.loc[drawn].to_numpy(),
        gold=wide.to_numpy(dtype=float),
        inclusion_probability=per_incident["inclusion_probability"].to_numpy(dtype=float),
        notes=notes,
    )
    if "stratum" in per_incident.columns and per_incident["stratum"].notna().all():
        codes.strata = pd.factorize(per_incident["stratum"])[0]
    if "cluster" in per_incident.columns and per_incident["cluster"].notna().all():
        codes.units = pd.factorize(per_incident["cluster"])[0]
    codes.fold = _out_of_fold(coded, codes, trained_on_gold)
    return codes


def _out_of_fold(coded: pd.DataFrame, codes: Codes, trained_on_gold: bool | None) -> Any:
    """Return the fold of each incident, or refuse in-sample predictions."""
    advice = (
        "Errors of a model on the rows it was trained on are too small, so the correction would be "
        "too. Make out-of-fold predictions with crossfit_predictions and keep the column "
        "`fold`, or "
        "code rows that the model has not seen."
    )
    drawn = codes.ids[codes.rows]
    if "fold" in coded.columns:
        per_incident = coded[["incident_id", "fold"]].drop_duplicates()
        if per_incident["incident_id"].duplicated().any():
            raise DataError("table coded: fold differs between rows of one incident; give it one.")
        fold = per_incident.set_index(per_incident["incident_id"].astype(str))["fold"]
        fold = fold.reindex(codes.ids)
        if trained_on_gold is not False:
            missing = fold.loc[drawn].isna()
            if missing.any():
                raise DataError(
                    f"table coded: fold is missing for {int(missing.sum())} gold incidents. "
                    f"{advice}"
                )
            if fold.isna().any():
                raise DataError(
                    f"table coded: fold is missing for {int(fold.isna().sum())} incidents without "
                    f"gold codes, so their predictions come from another model than those of the "
                    f"gold incidents, and its errors were not measured. {advice}"
                )
            if fold.loc[drawn].nunique() < 2:
                raise DataError(f"table coded: the gold incidents lie in one fold. {advice}")
        return fold.to_numpy(dtype=object)
    if trained_on_gold:
        raise DataError(f"trained_on_gold=True, but table coded has no column 'fold'. {advice}")
    if "in_training" in coded.columns and trained_on_gold is None:
        seen = as_bool(coded["in_training"], source="table coded").to_numpy()
        seen_ids = pd.Index(coded.loc[seen, "incident_id"].astype(str).unique())
        both = drawn.intersection(seen_ids)
        if len(both):
            raise DataError(
                f"table coded: the model was trained on {len(both)} of the {len(drawn)} gold "
                f"incidents. {advice}"
            )
    if trained_on_gold is None:
        guess = codes.predicted[codes.rows]
        enough = (codes.gold.sum() >= 20) and ((1 - codes.gold).sum() >= 20)
        if enough and (guess == codes.gold).all() and len(drawn) < len(codes.ids):
            raise DataError(
                f"The predictions agree with every gold code, as those of a model on its own "
                f"training "
                f"rows do. {advice} If the model has not seen these codes, say "
                f"trained_on_gold=False."
            )
    return None


def match_incidents(codes: Codes, incidents: pd.DataFrame) -> tuple[Codes, pd.DataFrame]:
    """Return codes and incidents restricted to the incidents, in the order of `incidents`.

    Codes of incidents that the table does not hold are left out, as an analysis of part of the
    incidents wants; an incident without model codes is refused.
    """
    if not isinstance(incidents, pd.DataFrame):
        raise DataError(
            f"table incidents: a pandas DataFrame is needed, got {type(incidents).__name__}."
        )
    check_columns(incidents.columns, ["incident_id"], source="table incidents")
    ids = pd.Index(incidents["incident_id"]).astype(str)
    if ids.has_duplicates:
        raise DataError(
            f"table incidents: incident_id must be unique, but {int(ids.duplicated().sum())} "
            f"repeat. "
            f"Remove the repeats."
        )
    where = codes.ids.get_indexer(ids)
    if (where < 0).any():
        raise DataError(
            f"{int((where < 0).sum())} of {len(ids)} incidents are not in table coded. Code "
            f"them with "
            f"the model, or leave them out of the incidents."
        )
    keep = np.zeros(len(codes.ids), dtype=bool)
    keep[where] = True
    drawn = keep[codes.rows]
    if not drawn.any():
        raise DataError(
            "None of these incidents has a gold code. Code a probability sample of them."
        )
    back = np.full(len(codes.ids), -1)
    back[where] = np.arange(len(ids))
    matched = Codes(
        ids=ids,
        categories=codes.categories,
        predicted=codes.predicted[where],
        probability=codes.probability[where],
        rows=back[codes.rows[drawn]],
        gold=codes.gold[drawn],
        inclusion_probability=codes.inclusion_probability[drawn],
        strata=None if codes.strata is None else codes.strata[drawn],
        units=None if codes.units is None else codes.units[drawn],
        fold=None if codes.fold is None else codes.fold[where],
        notes=codes.notes,
    )
    return matched, incidents.reset_index(drop=True)

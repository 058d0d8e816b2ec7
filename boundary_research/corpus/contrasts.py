"""Contrast narratives: fictional pairs that differ in a few words, written to teach."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from boundary_research.corpus.bundled import data_folder

# Variants name the versions of a story's first and second switch: a shows its category, b does not.
_SHOWS = "a"


@dataclass(frozen=True)
class Contrasts:
    """Contrast narratives that author and blind coder agree on.

    Attributes
    ----------
    incidents : pandas.DataFrame
        `incident_id`, `narrative`, `author_id`, `register` and `pair_id`, the same for the two
        versions of a story.
    codes : pandas.DataFrame
        Bools, shape (n narratives, k categories), indexed by incident_id.
    evidence : pandas.DataFrame
        The blind coder's evidence spans: incident_id, category, start, end.
    """

    incidents: pd.DataFrame
    codes: pd.DataFrame
    evidence: pd.DataFrame


def load_contrasts() -> Contrasts:
    """Read the bundled contrast narratives (see their datasheet, ``data/contrasts``).

    They are fictional, written and coded with a large language model, and made to teach: how often
    a category occurs in them was set by design. Use them to train (`auxiliary` of
    `NarrativeClassifier.fit`), never to evaluate or to estimate.

    Examples
    --------
    >>> contrasts = load_contrasts()
    >>> contrasts.codes.shape == (len(contrasts.incidents), 14)
    True
    """
    folder = data_folder() / "contrasts"
    narratives = pd.read_csv(folder / "narratives.csv", keep_default_na=False)
    stories = pd.read_csv(folder / "stories.csv", keep_default_na=False)
    codes = pd.read_csv(folder / "codes.csv").set_index("incident_id").astype(bool)
    evidence = pd.read_csv(folder / "evidence.csv")
    incidents = narratives.merge(stories, on="story_id", how="left", validate="m:1")
    coded = codes.loc[incidents["incident_id"]]
    agreed = (intended_codes(incidents, list(codes.columns)) == coded).all(axis=1)
    pairs = agreed.groupby(incidents["story_id"].to_numpy()).transform("all").to_numpy()
    incidents = incidents.rename(columns={"story_id": "pair_id"}).loc[pairs]
    columns = ["incident_id", "narrative", "author_id", "register", "pair_id"]
    return Contrasts(
        incidents[columns].reset_index(drop=True),
        coded.loc[pairs],
        evidence[evidence["incident_id"].isin(incidents["incident_id"])].reset_index(drop=True),
    )


def intended_codes(incidents: pd.DataFrame, categories: list[str]) -> pd.DataFrame:
    """Return what each narrative's author meant it to show, bools of shape (n, k).

    Parameters
    ----------
    incidents : DataFrame
        `incident_id`, `variant`, `category_1`, `category_2` and `throughout`.
    categories : list of str
    """
    shown = [
        {
            *([row.category_1] if row.variant[0] == _SHOWS else []),
            *([row.category_2] if row.variant[1] == _SHOWS else []),
            row.throughout,
        }
        for row in incidents.itertuples()
    ]
    index = pd.Index(incidents["incident_id"], name="incident_id")
    return pd.DataFrame(
        [[name in own for name in categories] for own in shown], index=index, columns=categories
    )

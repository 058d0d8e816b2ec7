"""The bundled corpus of fictional narratives, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research._tables import pivot_categories

SPLITS = ("train", "development", "test")
NOTICE = (
    "The narratives of the bundled corpus are fictional. They were written and coded with a large "
    "language model, not by human authors or coders, and are no evidence about the world."
)


@dataclass(frozen=True)
class Corpus:
    """The bundled corpus.

    Attributes
    ----------
    incidents : pandas.DataFrame
        Narratives with `author_id`, `pair_id`, `register`, `split` and attributes.
    gold : pandas.DataFrame
        Adjudicated codes, one row for each narrative and category.
    evidence : pandas.DataFrame
        Evidence spans of the categories that are present: incident_id, category, start, end.
    codings : pandas.DataFrame
        The coders' own decisions (coder_a, coder_b trained; novice), one row a span.
    identifiers : pandas.DataFrame
        Invented personal identifiers planted in the narratives: incident_id, kind, start, end.
    """

    incidents: pd.DataFrame
    gold: pd.DataFrame
    evidence: pd.DataFrame
    codings: pd.DataFrame
    identifiers: pd.DataFrame

    @cached_property
    def codes(self) -> pd.DataFrame:
        """Gold codes as bools, shape (n narratives, k categories), indexed by incident_id."""
        ids = pd.Index(self.incidents["incident_id"], name="incident_id")
        return pivot_categories(self.gold, "present", ids=ids).astype(bool)

    def split(self, name: str) -> Corpus:
        """Return the part of the corpus in split train, development or test."""
        check_choice(name, SPLITS, name="split")
        return self.subset(self.incidents.loc[self.incidents["split"] == name, "incident_id"])

    def subset(self, ids: pd.Series) -> Corpus:
        """Return the narratives with these ids, in the corpus's order, with all that belongs."""
        wanted = set(ids)

        def part(table: pd.DataFrame) -> pd.DataFrame:
            return table[table["incident_id"].isin(wanted)].reset_index(drop=True)

        return Corpus(
            part(self.incidents),
            part(self.gold),
            part(self.evidence),
            part(self.codings),
            part(self.identifiers),
        )


def data_folder() -> Path:
    """Return the folder of the bundled data: in the installed package, or beside it in a clone.

    Raises
    ------
    DataError
        If neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_data", package.parent / "data"):
        if (folder / "corpus" / "incidents.csv").is_file():
            return folder
    raise DataError(
        "The bundled corpus was not found beside the package. Install from a clone or a wheel."
    )


def load_corpus() -> Corpus:
    """Read the bundled corpus of fictional narratives (see its datasheet, ``data/corpus``).

    Examples
    --------
    >>> corpus = load_corpus()
    >>> corpus.codes.shape == (len(corpus.incidents), 14)
    True
    """
    folder = data_folder() / "corpus"
    text = {"incident_id": str, "pair_id": str, "narrative": str}

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(
            folder / f"{name}.csv", dtype=text, keep_default_na=False, na_values=[""]
        )

    incidents = read("incidents").merge(
        read("splits"), on="incident_id", how="left", validate="1:1"
    )
    return Corpus(incidents, read("gold"), read("evidence"), read("codings"), read("identifiers"))

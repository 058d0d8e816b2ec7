"""A simulated registry: its tables, codes and truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, check_random_state
from boundary_research.corpus._registry_truth import RegistryTruth


@dataclass(frozen=True)
class Registry:
    """A simulated registry; n reported incidents, K categories, the rows in one order throughout.

    Attributes
    ----------
    incidents : pandas.DataFrame
        `incident_id`, `narrative`, `agency_id`, `practitioner_id`, `occurred_on` and the
        attributes, as ordered categoricals whose first level is the reference.
    complete : pandas.DataFrame
        The attributes without "not stated".
    categories : tuple of str
    present, predicted : numpy.ndarray of bool, shape (n, K)
        True codes and the classifier's decisions.
    severity : numpy.ndarray of int8, shape (n, K)
        0, 1, 2, or -1 where the category is absent.
    probability : numpy.ndarray of float32, shape (n, K)
        Calibrated for the error rates of the whole; the decision has its own threshold.
    truth : RegistryTruth
    n_occurred : int
        Incidents before the reporting filter.
    """

    incidents: pd.DataFrame
    complete: pd.DataFrame
    categories: tuple[str, ...]
    present: np.ndarray
    predicted: np.ndarray
    severity: np.ndarray
    probability: np.ndarray
    truth: RegistryTruth
    n_occurred: int

    def __len__(self) -> int:
        return len(self.incidents)

    def _long(self, rows: np.ndarray) -> pd.DataFrame:
        ids = self.incidents["incident_id"].to_numpy()[rows]
        count = len(self.categories)
        return pd.DataFrame(
            {
                "incident_id": pd.array(np.repeat(ids, count), dtype="str"),
                "category": pd.array(np.tile(np.array(self.categories), len(rows)), dtype="str"),
            }
        )

    def _gold(self, rows: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
        gold = self._long(rows)
        gold["present"] = self.present[rows].ravel()
        severity = self.severity[rows].ravel().astype(float)
        gold["severity"] = np.where(severity < 0, np.nan, severity)
        gold["source"] = "adjudicated"
        gold["inclusion_probability"] = np.repeat(probability, len(self.categories))
        return gold

    @cached_property
    def gold(self) -> pd.DataFrame:
        """True codes of every incident as a gold table (K rows an incident)."""
        return self._gold(np.arange(len(self)), np.ones(len(self)))

    @cached_property
    def coded(self) -> pd.DataFrame:
        """The classifier's decisions as a coded table (K rows an incident)."""
        coded = self._long(np.arange(len(self)))
        coded["probability"] = self.probability.ravel().astype(float)
        coded["decision"] = np.where(self.predicted.ravel(), "present", "absent")
        return coded

    def draw_gold(
        self,
        size: int,
        *,
        by: str | None = None,
        random_state: int | np.random.Generator | None = None,
    ) -> pd.DataFrame:
        """Return a gold table for a random sample of incidents, with inclusion probabilities.

        Parameters
        ----------
        size : int
            Incidents to draw.
        by : str, optional
            A column of `incidents`: equal numbers from each of its levels, so that rare levels are
            drawn with a higher probability; the level is the column `stratum`. Without it, a simple
            random sample.
        random_state : int, numpy.random.Generator or None
        """
        if not 1 <= size <= len(self):
            raise DataError(
                f"size must lie between 1 and {len(self)} reported incidents, got {size}."
            )
        rng = check_random_state(random_state)
        if by is None:
            groups = np.zeros(len(self), dtype=int)
        else:
            check_columns(self.incidents.columns, [by], source="incidents")
            groups = pd.factorize(self.incidents[by])[0]
        counts = np.bincount(groups)
        take = np.minimum(counts, -(-size // len(counts)))
        rows = np.concatenate(
            [
                rng.choice(np.flatnonzero(groups == g), size=int(m), replace=False)
                for g, m in enumerate(take)
            ]
        )
        rows.sort()
        gold = self._gold(rows, (take / counts)[groups[rows]])
        if by is not None:
            levels = self.incidents[by].to_numpy(dtype=object)[rows]
            gold["stratum"] = pd.array(np.repeat(levels, len(self.categories)), dtype="str")
        return gold


@dataclass(frozen=True)
class WrittenRegistry:
    """Where `write_registry` put a registry, and how many incidents it holds."""

    folder: Path
    truth: RegistryTruth
    n_occurred: int
    n_reported: int

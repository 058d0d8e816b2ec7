"""Draws of a simulated registry, block by block, each block from a generator of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from boundary_research._checks import DataError, check_columns
from boundary_research.corpus._registry_joint import AttributeModel
from boundary_research.corpus._registry_model import (
    RegistryModel,
    bridge_quantile,
    level_shares,
)

BLOCK = 65_536  # part of what a seed means: another size gives other rows
_TRIES = 1_000
_SKEW = 2.0  # a few practitioners draw many of an agency's incidents
_FAR = 8.0  # distance of a score for a rate of exactly 1


@dataclass
class Block:
    """Reported incidents of one block; n rows, K categories.

    `position` counts all incidents from 0, reported or not. `attributes` holds level codes (n,),
    with one more level, the last, for "not stated"; `complete` the codes before masking. `severity`
    is -1 where a category is absent; `narrative` an index into the texts.
    """

    position: np.ndarray
    agency: np.ndarray
    practitioner: np.ndarray
    day: np.ndarray
    complete: dict[str, np.ndarray]
    attributes: dict[str, np.ndarray]
    present: np.ndarray
    severity: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    narrative: np.ndarray | None

    def __len__(self) -> int:
        return len(self.position)


class NarrativePool:
    """Texts to draw from; with columns named after categories, texts whose codes fit best."""

    def __init__(self, narratives: pd.DataFrame, categories: tuple[str, ...]) -> None:
        check_columns(narratives.columns, ["narrative"], source="narratives")
        if narratives.empty:
            raise DataError("narratives has no rows. Leave it out for incidents without texts.")
        self.texts = narratives["narrative"].astype(str).to_numpy(dtype=object)
        coded = [c for c in categories if c in narratives.columns]
        self._columns = [categories.index(c) for c in coded]
        self._codes = narratives[coded].to_numpy(dtype=bool).astype(np.int16)
        self._known: dict[bytes, np.ndarray] = {}

    def _candidates(self, pattern: np.ndarray) -> np.ndarray:
        key = pattern.tobytes()
        if key not in self._known:
            distance = np.abs(self._codes - pattern).sum(axis=1)
            self._known[key] = np.flatnonzero(distance == distance.min())
        return self._known[key]

    def draw(self, present: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return the index of a text for each row of `present` (n, K), from uniforms `u` (n,)."""
        if not self._columns:
            return (u * len(self.texts)).astype(np.int64)
        codes = present[:, self._columns].astype(np.int16)
        patterns, inverse = np.unique(codes, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        chosen = np.empty(len(present), dtype=np.int64)
        order = np.argsort(inverse, kind="stable")
        ends = np.cumsum(np.bincount(inverse, minlength=len(patterns)))
        for pattern, rows in zip(patterns, np.split(order, ends[:-1]), strict=True):
            candidates = self._candidates(pattern)
            chosen[rows] = candidates[(u[rows] * len(candidates)).astype(np.int64)]
        return chosen


def _levels(model: AttributeModel, parent: np.ndarray | None, u: np.ndarray) -> np.ndarray:
    cumulative = np.cumsum(model.shares, axis=1)[:, :-1]
    row = cumulative[0] if parent is None else cumulative[parent]
    return (u[:, None] >= row).sum(axis=1).astype(np.int16)


def _hashed_uniform(seed: int, index: np.ndarray) -> np.ndarray:
    """Return uniforms in (0, 1) that depend on seed and index alone (SplitMix64's finaliser).

    Millions of practitioners keep their effect from block to block without a table of them.
    """
    with np.errstate(over="ignore"):
        z = (index.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            seed
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(float) + 0.5) / 2**53


class RegistryDraws:
    """All random parts of a registry of `n` incidents; `block(b)` returns its b-th block."""

    def __init__(
        self,
        model: RegistryModel,
        n: int,
        *,
        seed: int,
        n_agencies: int,
        agency_size_sd: float,
        n_practitioners: int,
        days: int,
        pool: NarrativePool | None,
    ) -> None:
        self.model, self.n, self.seed, self.days, self.pool = model, n, seed, days, pool
        rng = self._generator(0)
        weight = np.exp(agency_size_sd * rng.standard_normal(n_agencies))
        self.agency_share = np.cumsum(weight / weight.sum())
        self.agency_share[-1] = 1.0
        size = np.maximum(1, np.round(n_practitioners * weight / weight.sum())).astype(np.int64)
        self.practitioners = size
        self.first_practitioner = np.concatenate([[0], np.cumsum(size)[:-1]])
        u = rng.random((n_agencies, len(model.categories)))
        self.agency_effect = bridge_quantile(u, model.phi[0])
        self.agency_levels = self._agency_levels(rng, n_agencies)
        self._practitioner_seed = int(rng.integers(2**63))

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _agency_levels(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        names = self.model.agency_attributes
        for _ in range(_TRIES):
            levels: dict[str, np.ndarray] = {}
            complete = True
            for name in (a for a in self.model.attributes if a in names):
                attribute = self.model.attributes[name]
                parent = None if attribute.parent is None else levels[attribute.parent]
                levels[name] = _levels(attribute, parent, rng.random(n))
                if attribute.parent is None:
                    needed = np.count_nonzero(attribute.shares[0])
                    complete &= len(np.unique(levels[name])) == needed
            if complete:
                return levels
        raise DataError(
            f"n_agencies: with {n} agencies some level of {', '.join(names)} has hardly a "
            f"chance of even one agency. Use more agencies, larger shares or fewer "
            f"agency_attributes."
        )

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.n // BLOCK)

    def __iter__(self) -> Iterator[Block]:
        return (self.block(b) for b in range(self.blocks))

    def block(self, b: int) -> Block:
        """Draw block `b`; the same whatever was drawn before."""
        rng = self._generator(1, b)
        start = b * BLOCK
        n = min(BLOCK, self.n - start)
        model = self.model
        agency = np.searchsorted(self.agency_share, rng.random(n), side="right").astype(np.int32)
        within = (self.practitioners[agency] * rng.random(n) ** _SKEW).astype(np.int64)
        practitioner = self.first_practitioner[agency] + within
        day = rng.integers(self.days, size=n)
        levels: dict[str, np.ndarray] = {}
        for name, attribute in model.attributes.items():
            u = rng.random(n)
            if name in model.agency_attributes:
                levels[name] = self.agency_levels[name][agency]
            else:
                parent = None if attribute.parent is None else levels[attribute.parent]
                levels[name] = _levels(attribute, parent, u)
        present = self._present(rng, levels, agency, practitioner)
        severity = self._severity(rng, present)
        predicted, probability = self._classify(rng, levels, present)
        stated = self._mask(rng, levels)
        keep = rng.random(n) < self._reporting(levels, present, severity)
        narrative = None if self.pool is None else self.pool.draw(present, rng.random(n))
        return Block(
            position=(start + np.arange(n))[keep],
            agency=agency[keep],
            practitioner=practitioner[keep],
            day=day[keep],
            complete={name: codes[keep] for name, codes in levels.items()},
            attributes={name: codes[keep] for name, codes in stated.items()},
            present=present[keep],
            severity=severity[keep],
            predicted=predicted[keep],
            probability=probability[keep],
            narrative=None if narrative is None else narrative[keep],
        )

    def _present(
        self,
        rng: np.random.Generator,
        levels: dict[str, np.ndarray],
        agency: np.ndarray,
        practitioner: np.ndarray,
    ) -> np.ndarray:
        model = self.model
        count = len(model.categories)
        phi_agency, phi_practitioner, phi_incident = model.phi
        eta = np.tile(model.intercepts, (len(agency), 1))
        for name, table in model.effects.items():
            eta += table[levels[name]]
        # Each outer effect is scaled so that integrating the inner ones gives a bridge again.
        eta /= phi_agency * phi_practitioner * phi_incident
        if phi_agency < 1:
            eta += self.agency_effect[agency]
        if phi_practitioner < 1:
            index = practitioner[:, None] * count + np.arange(count)
            u = _hashed_uniform(self._practitioner_seed, index)
            eta += bridge_quantile(u, phi_practitioner) / phi_agency
        if phi_incident < 1:
            common = bridge_quantile(rng.random(len(agency)), phi_incident)
            eta += (common / (phi_agency * phi_practitioner))[:, None]
        return rng.random(eta.shape) < special.expit(eta)

    def _severity(self, rng: np.random.Generator, present: np.ndarray) -> np.ndarray:
        cumulative = np.cumsum(self.model.severity, axis=1)
        u = rng.random(present.shape)
        level = (u >= cumulative[:, 0]).astype(np.int8) + (u >= cumulative[:, 1])
        return np.where(present, level, -1).astype(np.int8)

    def _classify(
        self, rng: np.random.Generator, levels: dict[str, np.ndarray], present: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a normal score around its mean for present and absent; above 0 it says "present".

        The probability is the calibrated one for the error rates of the whole (Bayes' rule), as one
        classifier for all levels would give it.
        """
        n, count = present.shape
        model = self.model
        score = rng.standard_normal((n, count), dtype=np.float32)
        probability = np.empty((n, count), dtype=np.float32)
        for k, (name, rates) in enumerate(model.error):
            centre = np.clip(special.ndtri(rates), -_FAR, _FAR) * [1, -1]
            row = 0 if name is None else levels[name]
            score[:, k] += np.where(present[:, k], centre[row, 0], centre[row, 1])
            high, low = centre[0] if name is None else level_shares(model, name) @ centre
            log_odds = special.logit(model.prevalence[k]) + score[:, k] * (high - low)
            probability[:, k] = special.expit(log_odds - (high**2 - low**2) / 2)
        return score > 0, probability

    def _mask(
        self, rng: np.random.Generator, levels: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        masked = dict(levels)
        for name, share in self.model.not_stated.items():
            blank = rng.random(len(levels[name])) < share
            masked[name] = np.where(blank, len(self.model.attributes[name].levels), levels[name])
        return masked

    def _reporting(
        self, levels: dict[str, np.ndarray], present: np.ndarray, severity: np.ndarray
    ) -> np.ndarray:
        probability = np.ones(len(present))
        worst = severity.max(axis=1) + 1
        for name, kind, table in self.model.reporting:
            row = np.zeros(len(present), dtype=np.intp) if name is None else levels[name]
            if kind == "severity":
                probability *= table[row, worst]
            else:
                probability *= np.where(present, table[row], 1.0).prod(axis=1)
        return probability

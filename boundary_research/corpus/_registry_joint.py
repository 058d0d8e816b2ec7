"""The joint distribution of an incident's attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from boundary_research._checks import DataError

MAX_COMBINATIONS = 500_000


@dataclass(frozen=True)
class AttributeModel:
    """Levels of one attribute and their cumulative shares, shape (levels of the parent or 1, L)."""

    name: str
    levels: tuple[str, ...]
    parent: str | None
    shares: np.ndarray


@dataclass(frozen=True)
class Joint:
    """The joint distribution of the attributes that matter: codes (C, A) and probabilities (C,)."""

    names: tuple[str, ...]
    codes: np.ndarray
    probability: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """Return the level codes of one attribute."""
        return self.codes[:, self.names.index(name)]


def join_levels(models: Mapping[str, AttributeModel], used: set[str]) -> Joint:
    """Return the joint distribution of the attributes in `used` and those they depend on."""
    wanted = set(used)
    for name in reversed(list(models)):
        if name in wanted and models[name].parent is not None:
            wanted.add(str(models[name].parent))
    names = tuple(name for name in models if name in wanted)
    size = int(np.prod([len(models[name].levels) for name in names], dtype=float))
    if size > MAX_COMBINATIONS:
        raise DataError(
            f"{size} combinations of attribute levels matter; at most {MAX_COMBINATIONS} can be "
            f"summed over. Use fewer attributes in effects, reporting and classifier_error."
        )
    codes = np.zeros((1, 0), dtype=np.intp)
    probability = np.ones(1)
    for name in names:
        model = models[name]
        count = len(model.levels)
        row = 0 if model.parent is None else codes[:, names.index(model.parent)]
        new = np.broadcast_to(model.shares[row], (len(codes), count))
        probability = (probability[:, None] * new).ravel()
        level = np.tile(np.arange(count), len(codes))[:, None]
        codes = np.hstack([np.repeat(codes, count, axis=0), level])
    return Joint(names, codes, probability)

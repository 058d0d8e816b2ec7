"""Keyword arguments that all estimators share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypedDict

import numpy as np

from boundary_research._checks import check_choice, check_fraction, check_random_state
from boundary_research.inference._variance import SMALL_SAMPLE

# What intervals are for, by `finite_population`
TARGETS = {
    False: "the process: agencies and incidents like these",
    True: "these reported incidents alone",
}


def say_target(estimand: str, finite_population: bool) -> str:
    """Return the words for an estimand, with "these" where no other incidents are meant."""
    if not finite_population:
        return estimand
    return estimand.replace("reported incidents", "these reported incidents")


class Options(TypedDict, total=False):
    """Keyword arguments that all estimators share; documented in `estimators`."""

    weights: Any
    strata: Any
    sampling_units: Any
    finite_population: bool
    rescale: bool
    small_sample: str
    conf_level: float
    trained_on_gold: bool
    fold: Any
    random_state: int | np.random.Generator | None


@dataclass
class Settings:
    """`Options` with their defaults filled in."""

    weights: Any = None
    strata: Any = None
    sampling_units: Any = None
    finite_population: bool = False
    rescale: bool = False
    small_sample: str = "none"
    conf_level: float = 0.95
    trained_on_gold: bool = False
    fold: Any = None
    random_state: int | np.random.Generator | None = None

    @classmethod
    def of(cls, options: Options) -> Settings:
        """Return the settings, or say which option is unknown."""
        known = [field.name for field in fields(cls)]
        for name in options:
            check_choice(name, known, name="option")
        settings = cls(**options)
        check_choice(settings.small_sample, SMALL_SAMPLE, name="small_sample")
        settings.conf_level = check_fraction(settings.conf_level, name="conf_level")
        settings.random_state = check_random_state(settings.random_state)
        return settings

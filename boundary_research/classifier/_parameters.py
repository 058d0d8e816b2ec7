"""Checks of the classifiers' parameters, one for each name that they share."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from boundary_research._checks import DataError, check_fraction

_LARGEST_SEED = 2**32 - 1


def check_parameters(model: Any) -> None:
    """Raise a DataError that names the first parameter that a model cannot be fitted with.

    Parameters
    ----------
    model : classifier
        With any of the parameters `C`, `alpha`, `character_weight`, `evidence_weight`,
        `min_narratives`, `words`, `characters`, `cv`, `precision`, `miss_rate`, `ratio_share` and
        `random_state`; others are left alone.
    """
    given = model.get_params(deep=False)
    for name in [name for name in ("C", "alpha") if name in given]:
        if not _number(given[name], name) > 0:
            raise DataError(f"{name} must be above 0, got {given[name]!r}.")
    for name in [name for name in ("character_weight", "evidence_weight") if name in given]:
        if not _number(given[name], name) >= 0:
            raise DataError(f"{name} must be 0 or more, got {given[name]!r}.")
    if "min_narratives" in given:
        check_whole(given["min_narratives"], name="min_narratives")
    if "words" in given:
        if given["words"] is None and given["characters"] is None:
            raise DataError("words and characters are both None; at least one block is needed.")
        for name in ("words", "characters"):
            _check_sizes(given[name], name)
    if "cv" in given:
        check_folds(given["cv"], name="cv")
    if "precision" in given:
        check_fraction(given["precision"], name="precision", one=True)
        check_fraction(given["miss_rate"], name="miss_rate", zero=True)
    if "ratio_share" in given:
        check_fraction(given["ratio_share"], name="ratio_share", zero=True, one=True)
    if "random_state" in given:
        seed = check_whole(given["random_state"], name="random_state", least=0)
        if seed > _LARGEST_SEED:
            raise DataError(f"random_state must be at most {_LARGEST_SEED}, got {seed}.")


def check_whole(value: Any, *, name: str, least: int = 1) -> int:
    """Return `value` if it is a whole number from `least`.

    Examples
    --------
    >>> check_whole(3, name="min_narratives")
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise DataError(f"{name} must be a whole number from {least}, got {value!r}.")
    return int(value)


def check_folds(value: Any, *, name: str) -> int:
    """Return how many folds to make: at least 2, for one is held out and another learned from."""
    if check_whole(value, name=name) < 2:
        raise DataError(
            f"{name} must be at least 2, got {value}: each fold of narratives is held out in turn "
            f"and predicted by a model that learned from the others. 5 is usual."
        )
    return int(value)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise DataError(f"{name} must be a number, got {type(value).__name__}.")
    if not math.isfinite(value):
        raise DataError(f"{name} must be a finite number, got {value!r}.")
    return float(value)


def _check_sizes(sizes: Any, name: str) -> None:
    """Refuse what is neither None nor the shortest and the longest n-gram."""
    if sizes is None:
        return
    pair = isinstance(sizes, tuple | list) and len(sizes) == 2
    if not pair or any(isinstance(n, bool) or not isinstance(n, Integral) for n in sizes):
        raise DataError(
            f"{name} must be None or two whole numbers, the shortest and the longest n-gram, such "
            f"as (1, 2), got {sizes!r}."
        )
    if not 1 <= sizes[0] <= sizes[1]:
        raise DataError(
            f"{name} must rise from 1 or more, such as (1, 2), got {tuple(sizes)!r}: the first "
            f"number is the shortest n-gram, the second the longest."
        )

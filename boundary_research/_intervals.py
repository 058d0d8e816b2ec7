"""Wilson's score interval, which coders', classifiers' and estimates' error rates share."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats


def wilson_interval(
    share: Any, n: Any, conf_level: float = 0.95, *, df: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson limits of a share; `n` may be an effective sample size (not whole).

    Wilson 1927, J Am Stat Assoc 22:209-212; with an effective size for weighted or clustered
    samples, Franco, Little, Louis and Slud 2019, J Surv Stat Methodol 7:334-364.

    Parameters
    ----------
    share, n : float or array
        The share, and of how many.
    conf_level : float
    df : float or array, optional
        Take the quantile of t with so many degrees of freedom, for a variance that few groups
        told; by default the normal one.

    Examples
    --------
    >>> low, high = wilson_interval(0.1, 10)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0179, 0.4042)
    """
    p, size = np.asarray(share, dtype=float), np.asarray(n, dtype=float)
    level = 0.5 + conf_level / 2
    z2 = (stats.norm.ppf(level) if df is None else stats.t.ppf(level, df)) ** 2
    centre = (p + z2 / (2 * size)) / (1 + z2 / size)
    half = np.sqrt(z2 * (p * (1 - p) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)

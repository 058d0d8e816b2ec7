"""How many narratives to draw from each stratum: whole numbers that add up to n."""

from __future__ import annotations

import numpy as np

from boundary_research._checks import DataError


def allocate(
    n: int, sizes: np.ndarray, shares: np.ndarray, *, least: int = 1, names: list[str]
) -> np.ndarray:
    """Return whole numbers of draws that add up to `n`, near `shares` and within each stratum.

    Strata that would get more than they hold are taken whole, strata that would get fewer than
    `least` get that many, and the rest is shared out anew; fractions go to the largest remainders
    (the earlier stratum first), so that the numbers do not depend on chance.

    Parameters
    ----------
    n : int
        Draws in all.
    sizes : array of int, shape (H,)
        Narratives in each stratum.
    shares : array of float, shape (H,)
        What the draws are to be in proportion to.
    least : int
        Draws from every stratum at least (all of it, if it is smaller).
    names : list of str
        Names of the strata, for messages.

    Raises
    ------
    DataError
        If `n` is below what `least` needs, or above the number of narratives.
    """
    low = np.minimum(sizes, least)
    if n > sizes.sum():
        raise DataError(f"n is {n}, but there are {sizes.sum()} narratives. Draw fewer.")
    if n < low.sum():
        raise DataError(
            f"n is {n}, but {len(sizes)} strata with {least} narratives each need {low.sum()}. "
            f"Draw more, or use fewer strata ({', '.join(names[:5])}…)."
        )
    least_share = shares[shares > 0].min() * 1e-9 if shares.any() else 1.0
    # Below the smallest normal number a share would round to none, and none to 0 / 0.
    tiny = np.finfo(float).tiny
    shares = np.maximum(np.where(shares > 0, shares, least_share), tiny)
    exact = np.zeros(len(sizes))
    free = np.ones(len(sizes), dtype=bool)
    while free.any():
        left = n - exact[~free].sum()
        exact[free] = left * shares[free] / shares[free].sum()
        over, under = free & (exact > sizes), free & (exact < low)
        if not (over | under).any():
            break
        # One side at a time, the one that is further off: fixing both could leave no solution.
        if (exact - sizes)[over].sum() >= (low - exact)[under].sum():
            exact[over], free = sizes[over], free & ~over
        else:
            exact[under], free = low[under], free & ~under
    whole = np.clip(np.floor(exact + 1e-9).astype(int), low, sizes)
    order = np.argsort(-(exact - whole), kind="stable")
    while whole.sum() < n:
        for h in order[: n - whole.sum()]:
            whole[h] += whole[h] < sizes[h]
    for h in reversed(order):
        while whole.sum() > n and whole[h] > low[h]:
            whole[h] -= 1
    return whole

"""Speed of agreement with bootstrap intervals beside a plain-Python and a statsmodels peer.

The ratings are shaped like a large crowd-coding study: 4,185 items, 8 coders, about three ratings
an item, five ordered categories. The peers count the same coincidences item by item (plain Python)
or recompute Fleiss' kappa on a resampled table (statsmodels); both are timed on a few draws and
scaled up to the number of draws asked for.

    python benchmarks/reliability_speed.py --draws 2000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from boundary_research.coding.reliability import fleiss_kappa, krippendorff_alpha


def simulate(rng: np.random.Generator, items: int = 4185, coders: int = 8) -> np.ndarray:
    """Return ratings 0–4 of shape (items, coders), about three an item and never fewer than two."""
    truth = rng.choice(5, size=items, p=[0.55, 0.25, 0.1, 0.06, 0.04])
    ratings = np.clip(
        truth[:, None] + rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(items, 8)), 0, 4
    )
    each = rng.choice([2, 3, 4, 5], p=[0.26, 0.58, 0.1, 0.06], size=items)
    order = rng.random((items, coders)).argsort(axis=1)
    return np.where(order < each[:, None], ratings, np.nan)


def plain_alpha(units: list[list[float]]) -> float:
    """Return nominal alpha, counted item by item without numpy."""
    observed, size = 0.0, 0
    totals: dict[float, int] = {}
    for unit in units:
        m = len(unit)
        unequal = sum(a != b for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j)
        observed += unequal / (m - 1)
        size += m
        for value in unit:
            totals[value] = totals.get(value, 0) + 1
    expected = size**2 - sum(count**2 for count in totals.values())
    return 1 - (size - 1) * observed / expected


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--peer-draws", type=int, default=10)
    arguments = parser.parse_args()
    rng = np.random.default_rng(20261122)
    ratings = simulate(rng)
    units = [row[~np.isnan(row)].tolist() for row in ratings]
    print(f"{int(np.sum(~np.isnan(ratings))):,} ratings, {arguments.draws:,} draws")
    assert abs(plain_alpha(units) - krippendorff_alpha(ratings).estimate) < 1e-12
    options = {"interval": "bootstrap", "n_boot": arguments.draws, "random_state": 1}

    def peer() -> None:
        for _ in range(arguments.peer_draws):
            plain_alpha([units[i] for i in rng.integers(len(units), size=len(units))])

    theirs = seconds(peer) / arguments.peer_draws * arguments.draws
    for metric in ("nominal", "ordinal", "interval"):
        ours = seconds(lambda metric=metric: krippendorff_alpha(ratings, metric, **options))
        print(
            f"alpha {metric:9} {ours:7.2f} s   plain Python (nominal) {theirs:7.1f} s"
            f"   ratio {theirs / ours:6.0f}"
        )
    complete = np.where(np.isnan(ratings), 0, ratings)[:, :3].astype(int)
    table = aggregate_raters(complete)[0]
    assert abs(statsmodels_fleiss(table) - fleiss_kappa(complete).estimate) < 1e-12

    def other() -> None:
        for _ in range(10 * arguments.peer_draws):
            statsmodels_fleiss(table[rng.integers(len(table), size=len(table))])

    theirs = seconds(other) / (10 * arguments.peer_draws) * arguments.draws
    ours = seconds(lambda: fleiss_kappa(complete, **options))
    print(
        f"Fleiss' kappa   {ours:7.2f} s   statsmodels            {theirs:7.1f} s"
        f"   ratio {theirs / ours:6.1f}"
    )


if __name__ == "__main__":
    main()

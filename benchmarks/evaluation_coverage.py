"""Coverage of 95% intervals of `evaluate`, on simulated narratives whose truth is known.

Scores of positives and negatives are normal, and in agencies both the share of positives and the
scores vary. The truth is the metric of 400,000 narratives (of 4,000 agencies). Beside the interval
of `evaluate` (Wilson's at the effective sample size, t with g - 1 degrees of freedom) are the
percentiles of the same bootstrap draws. Figures are per cent of the runs, with the mean width.

    python benchmarks/evaluation_coverage.py --runs 2000
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from boundary_research.classifier._metrics import bootstrap_weights, compute_metrics
from boundary_research.classifier.evaluation import evaluate

METRICS = ("precision", "recall", "f1", "average_precision", "auc", "brier")
_THRESHOLD, _OTHER_SEEDS = 0.35, 10_000_000


class Scenario(NamedTuple):
    """How many narratives, with which share of positives, from how many agencies (0: none)."""

    n: int
    share: float
    agencies: int
    spread: float = 0.5  # of agencies, in log-odds of the share and in scores


SCENARIOS = (
    Scenario(150, 0.1, 0),
    Scenario(150, 0.3, 0),
    Scenario(400, 0.05, 0),
    Scenario(400, 0.1, 0),
    Scenario(400, 0.3, 0),
    Scenario(400, 0.2, 5),
    Scenario(400, 0.2, 10),
    Scenario(400, 0.2, 20),
    Scenario(600, 0.2, 40),
    Scenario(400, 0.05, 20, 1.5),
)


class Narratives(NamedTuple):
    """Gold codes, probabilities and agencies of simulated narratives, each of shape (n,)."""

    codes: np.ndarray
    probabilities: np.ndarray
    agency: np.ndarray | None


def simulate(scenario: Scenario, random_state: int) -> Narratives:
    """Draw narratives; agencies differ in size, share of positives and scores."""
    rng = np.random.default_rng(random_state)
    n, agency = scenario.n, None
    more: np.ndarray | float = 0.0
    better: np.ndarray | float = 0.0
    if scenario.agencies:
        shares = rng.dirichlet(np.full(scenario.agencies, 3.0))
        sizes = rng.multinomial(n - scenario.agencies, shares) + 1
        agency = np.repeat(np.arange(scenario.agencies), sizes)
        effects = rng.normal(0, scenario.spread, (2, scenario.agencies))[:, agency]
        more, better = effects
    codes = rng.random(n) < expit(logit(scenario.share) + more)
    scores = np.where(codes, 1.6, -1.2) + better + rng.normal(0, 1.3, n)
    return Narratives(codes, expit(scores + logit(scenario.share) / 2), agency)


def table_of(drawn: Narratives, *, n_boot: int, random_state: int = 0) -> pd.DataFrame:
    """Return what `evaluate` says of the narratives, a row a metric."""
    predicted = drawn.probabilities >= _THRESHOLD
    groups = None if drawn.agency is None else drawn.agency.tolist()
    table = evaluate(
        pd.DataFrame({"a": drawn.codes}),
        drawn.probabilities[:, None],
        predicted[:, None],
        groups=groups,
        n_boot=n_boot,
        random_state=random_state,
    )
    return table[table["category"] == "a"].set_index("metric").loc[list(METRICS)]


def true_values(scenario: Scenario) -> np.ndarray:
    """Return the metrics of very many narratives, shape (metrics,)."""
    many = scenario._replace(n=400_000, agencies=4_000 if scenario.agencies else 0)
    return table_of(simulate(many, 99), n_boot=0)["estimate"].to_numpy()


def cover(
    scenario: Scenario, runs: int, *, n_boot: int = 300
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each metric, the share of runs whose interval holds the truth.

    Returns
    -------
    held, width, peer : ndarray, shape (metrics,)
        Share and mean width of `evaluate`'s intervals; share of the percentiles of its draws.
    """
    truth = true_values(scenario)
    held, width, peer = (np.full((runs, len(METRICS)), np.nan) for _ in range(3))
    for run in range(runs):
        drawn = simulate(scenario, run)
        # Not the seed of the narratives, or the draws would depend on them.
        seed = _OTHER_SEEDS + run
        table = table_of(drawn, n_boot=n_boot, random_state=seed)
        low, high = table["conf_low"].to_numpy(), table["conf_high"].to_numpy()
        # Without positives, say, there is no recall, and no interval that could hold or miss it.
        known = np.isfinite(table["estimate"].to_numpy())
        held[run] = np.where(known, (low <= truth) & (truth <= high), np.nan)
        width[run] = high - low
        below, above = percentiles(drawn, n_boot=n_boot, random_state=seed)
        peer[run] = np.where(known, (below <= truth) & (truth <= above), np.nan)
    return np.nanmean(held, axis=0), np.nanmean(width, axis=0), np.nanmean(peer, axis=0)


def percentiles(drawn: Narratives, *, n_boot: int, random_state: int) -> np.ndarray:
    """Return percentile limits from the draws of `evaluate`, shape (2, metrics)."""
    codes, probabilities = drawn.codes[:, None], drawn.probabilities[:, None]
    weights = bootstrap_weights(len(codes), drawn.agency, n_boot, random_state)
    values = compute_metrics(codes, probabilities, probabilities >= _THRESHOLD, weights)
    first = np.column_stack([values[name][:, 0] for name in METRICS])
    return np.nanquantile(first, [0.025, 0.975], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    arguments = parser.parse_args()
    print("| narratives | share | agencies | interval | " + " | ".join(METRICS) + " |")
    print("|" + " --- |" * (4 + len(METRICS)))
    for scenario in SCENARIOS:
        start = f"| {scenario.n} | {scenario.share} | {scenario.agencies or '–'} |"
        held, width, peer = cover(scenario, arguments.runs)
        cells = [f"{100 * h:.1f} ({w:.3f})" for h, w in zip(held, width, strict=True)]
        print(start, "Wilson |", " | ".join(cells), "|")
        print(start, "percentiles |", " | ".join(f"{100 * h:.1f}" for h in peer), "|", flush=True)


if __name__ == "__main__":
    main()

"""Coverage of 95% intervals for alpha, AC1 and kappa, over seeded simulations of known truth.

Coders see an unseen truth with the sensitivity and specificity of a scenario, so that the
population value of every coefficient is known. Run beside the score interval (the default) are the
published Wald interval and, with --bootstrap, BCa. Figures are percentages of the runs whose
interval holds the population value; "trusted" counts only the runs whose note did not warn, and
"warned" is the share that did.

    python benchmarks/reliability_coverage.py --runs 1000
    python benchmarks/reliability_coverage.py --runs 300 --bootstrap --scenario good
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np
import pandas as pd

from boundary_research.coding.reliability import (
    AgreementResult,
    cohen_kappa,
    conger_kappa,
    gwet_ac,
    krippendorff_alpha,
)

SCENARIOS = {"moderate": (0.80, 0.90), "good": (0.85, 0.95), "high": (0.97, 0.98)}


def population(prevalence: float, sensitivity: float, specificity: float) -> dict[str, float]:
    """Return the population value of each coefficient for exchangeable coders."""
    share = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    both = prevalence * sensitivity**2 + (1 - prevalence) * (1 - specificity) ** 2
    agree = 1 - 2 * (share - both)
    same = share**2 + (1 - share) ** 2
    guess = 2 * share * (1 - share)
    kappa = (agree - same) / (1 - same)
    return {"alpha": kappa, "kappa": kappa, "AC1": (agree - guess) / (1 - guess)}


def draw(
    rng: np.random.Generator, n: int, coders: int, prevalence: float, errors: tuple[float, float]
) -> np.ndarray:
    """Return simulated ratings of shape (n, coders)."""
    truth = rng.random(n) < prevalence
    chance = np.where(truth, errors[0], 1 - errors[1])[:, None]
    return (rng.random((n, coders)) < chance).astype(float)


def coefficients(ratings: np.ndarray, **options: object) -> dict[str, AgreementResult]:
    """Return the three coefficients."""
    kappa = cohen_kappa if ratings.shape[1] == 2 else conger_kappa
    chosen = {"alpha": krippendorff_alpha, "AC1": gwet_ac, "kappa": kappa}
    return {name: call(ratings, categories=[0, 1], **options) for name, call in chosen.items()}


def run_cell(
    n: int, coders: int, prevalence: float, scenario: str, runs: int, seed: int, methods: list[str]
) -> list[dict[str, object]]:
    """Return one row a coefficient and interval method."""
    errors = SCENARIOS[scenario]
    truth = population(prevalence, *errors)
    rng = np.random.default_rng([seed, n, coders, int(1000 * prevalence)])
    held: dict[tuple[str, str], list[float]] = {}
    trusted: dict[tuple[str, str], list[bool]] = {}
    for _ in range(runs):
        ratings = draw(rng, n, coders, prevalence, errors)
        for method in methods:
            options = {"interval": method}
            if method == "bootstrap":
                options |= {"n_boot": 1000, "random_state": int(rng.integers(2**31))}
            for name, result in coefficients(ratings, **options).items():
                inside = result.conf_low <= truth[name] <= result.conf_high
                nothing = np.isnan(result.conf_low)
                held.setdefault((name, method), []).append(np.nan if nothing else float(inside))
                trusted.setdefault((name, method), []).append(result.note == "")
    rows = []
    for (name, method), values in held.items():
        inside, quiet = np.array(values), np.array(trusted[name, method])
        rows.append(
            {
                "scenario": scenario,
                "prevalence": prevalence,
                "n": n,
                "coders": coders,
                "coefficient": name,
                "value": truth[name],
                "interval": method,
                "coverage": 100 * np.nanmean(inside),
                "trusted": 100 * np.nanmean(inside[quiet]) if quiet.sum() >= 20 else np.nan,
                "warned": 100 * (1 - quiet.mean()),
                "no_interval": 100 * np.isnan(inside).mean(),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--bootstrap", action="store_true")
    parser.add_argument("--csv")
    arguments = parser.parse_args()
    start = time.perf_counter()
    names = list(SCENARIOS) if arguments.scenario == "all" else [arguments.scenario]
    methods = ["score", "wald", *(["bootstrap"] if arguments.bootstrap else [])]
    rows: list[dict[str, object]] = []
    for scenario, prevalence, n, coders in product(names, (0.5, 0.3, 0.1, 0.05), (50, 200), (2, 4)):
        rows += run_cell(n, coders, prevalence, scenario, arguments.runs, arguments.seed, methods)
    table = pd.DataFrame(rows)
    wide = table.pivot(
        index=["prevalence", "scenario", "n", "coders", "coefficient", "value"],
        columns="interval",
        values="coverage",
    )
    score = table[table["interval"] == "score"].set_index(wide.index.names)
    wide[["trusted", "warned"]] = score[["trusted", "warned"]]
    print(wide.sort_index(ascending=False).round(1).to_string())
    common = table[table["prevalence"] >= 0.3].groupby("interval")["coverage"]
    print("\nPrevalence .3 and .5, lowest and highest coverage of a cell:")
    print(common.agg(["min", "max"]).round(1).to_string())
    print(f"\n{arguments.runs} runs a cell, {time.perf_counter() - start:.0f} s")
    if arguments.csv:
        table.to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()

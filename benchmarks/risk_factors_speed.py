"""Time and memory of `risk_factors` for 14 categories x 10 terms x 1,000,000 incidents.

Run: python benchmarks/risk_factors_speed.py [--incidents 1000000] [--continuous]
Bound: under 30 s on 2 cores and under 4 GiB above what the input tables take.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time

import numpy as np
import pandas as pd

from boundary_research.inference import risk_factors

CATEGORIES = 14


def make_tables(
    n: int, *, continuous: bool, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return incidents, coded and gold tables; the design has 10 columns with its intercept."""
    generator = np.random.default_rng(seed)
    agency = generator.integers(0, 100, n)
    incidents = pd.DataFrame({"incident_id": np.char.add("i", np.arange(n).astype(str))})
    incidents["agency_id"] = np.char.add("a", agency.astype(str))
    settings = np.array(["urban", "suburban", "town", "rural"])
    roles = np.array(["nurse", "police", "social_worker", "teacher"])
    incidents["setting"] = settings[generator.integers(0, 4, n)]
    incidents["role"] = roles[generator.integers(0, 4, n)]
    incidents["tenure"] = np.array(["new", "some", "long"])[generator.integers(0, 3, n)]
    years = generator.normal(size=n) if continuous else generator.integers(0, 2, n)
    incidents["x"] = years.astype(float)
    rural = incidents["setting"].to_numpy() == "rural"
    drawn = generator.random(n) < 5_000 / n
    names = np.array([f"category_{k}" for k in range(CATEGORIES)])
    predicted = np.empty((n, CATEGORIES), dtype=bool)
    present = np.empty((int(drawn.sum()), CATEGORIES), dtype=bool)
    for k in range(CATEGORIES):
        eta = -2.5 + 0.1 * k + 0.4 * rural + 0.2 * years + 0.3 * np.sin(agency)
        truth = generator.random(n) < 1 / (1 + np.exp(-eta))
        error = generator.random(n)
        predicted[:, k] = np.where(truth, error < np.where(rural, 0.7, 0.85), error < 0.04)
        present[:, k] = truth[drawn]
    coded = pd.DataFrame(
        {
            "incident_id": np.repeat(incidents["incident_id"].to_numpy(), CATEGORIES),
            "category": pd.Categorical.from_codes(np.tile(np.arange(CATEGORIES), n), names),
            "probability": np.where(predicted, 0.9, 0.1).ravel(),
        }
    )
    coded["decision"] = pd.Categorical.from_codes(
        predicted.ravel().astype(int), ["absent", "present"]
    )
    gold = pd.DataFrame(
        {
            "incident_id": np.repeat(incidents["incident_id"].to_numpy()[drawn], CATEGORIES),
            "category": np.tile(names, int(drawn.sum())),
            "present": present.ravel(),
            "inclusion_probability": 5_000 / n,
        }
    )
    return incidents, coded, gold


def resident() -> int:
    """Return the memory in use, in bytes."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--continuous", action="store_true", help="no two rows alike")
    arguments = parser.parse_args()
    tables = make_tables(arguments.incidents, continuous=arguments.continuous)
    before, highest, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            highest[0] = max(highest[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    table = risk_factors("~ setting + role + tenure + x", *tables)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    done.set()
    watcher.join()
    gib = 1024**3
    terms, estimators = table["term"].nunique(), table["estimator"].nunique()
    print(f"{arguments.incidents:,} incidents, {CATEGORIES} categories, {terms} terms,")
    print(f"{estimators} estimators, clustered by 100 agencies:")
    print(f"{seconds:.1f} s on the clock, {cpu:.1f} s of processor time;")
    print(f"memory {highest[0] / gib:.2f} GiB, of which input tables {before / gib:.2f} GiB")


if __name__ == "__main__":
    main()

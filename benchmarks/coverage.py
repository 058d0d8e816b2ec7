"""Coverage of 95% intervals on simulated registries whose truth is known.

Truth: 30 agencies with an intraclass correlation of .05 (latent scale), incidents with a setting
and a practitioner's tenure, and a classifier of F1 about .8 whose errors differ by setting. Gold
codes are drawn with unequal probabilities, by setting and predicted code. For each estimator: the
share of runs in which the interval holds the population value, and the mean width beside that of
gold codes alone.

Run: python benchmarks/coverage.py [--runs 2000] [--agencies 30] [--workers 1]
Bounds: dsl and ppi within 93.5-96.5% for the share and each coefficient; naive far below; ppi
intervals of coefficients at least 20% shorter than gold-only ones (that of the share less so: most
of it is the agencies' own spread, which no coding removes).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy import special

from boundary_research.inference import (
    EstimationResult,
    dsl_logit,
    dsl_mean,
    gold_only_logit,
    hajek_mean,
    ppi_logit,
    ppi_mean,
)

INCIDENTS = 4_000
ICC = 0.05
COEFFICIENTS = np.array([-0.9, 0.6, -0.4])  # intercept, rural, long tenure, given the agency
RURAL = (0.1, 0.5)  # least and greatest share of rural incidents in an agency
SENSITIVITY = {0: 0.82, 1: 0.70}  # by rural
SPECIFICITY = {0: 0.96, 1: 0.92}
# Probability to be drawn, by rural and predicted code
INCLUSION = np.array([[0.08, 0.16], [0.16, 0.24]])
TERMS = ("share", "intercept", "rural", "tenure")


def population_values(icc: float = ICC) -> np.ndarray:
    """Return the share and the logit coefficients in the population of agencies and incidents.

    The agency's effect is integrated out by Gauss-Hermite quadrature; the coefficients are those of
    the logit without it, which is what a regression on the rows estimates.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    effects = nodes * np.sqrt(icc / (1 - icc) * np.pi**2 / 3)
    cells = np.array([[1, rural, tenure] for rural in (0, 1) for tenure in (0, 1)], dtype=float)
    rural = np.mean(RURAL)
    mass = np.where(cells[:, 1] == 1, rural, 1 - rural) * 0.5
    mean = special.expit(cells @ COEFFICIENTS + effects[:, None]).T @ weights / weights.sum()
    b = COEFFICIENTS.copy()
    for _ in range(50):
        fitted = special.expit(cells @ b)
        curvature = (cells * (mass * fitted * (1 - fitted))[:, None]).T @ cells
        b += np.linalg.solve(curvature, cells.T @ (mass * (mean - fitted)))
    return np.concatenate([[mass @ mean], b])


def draw_registry(
    generator: np.random.Generator, agencies: int, icc: float = ICC
) -> dict[str, np.ndarray]:
    """Return one registry: design, predictions, truth, gold codes, probabilities and agencies."""
    agency = generator.integers(0, agencies, INCIDENTS)
    effect = generator.normal(0, np.sqrt(icc / (1 - icc) * np.pi**2 / 3), agencies)
    share_rural = generator.uniform(*RURAL, agencies)
    rural = (generator.random(INCIDENTS) < share_rural[agency]).astype(int)
    tenure = generator.integers(0, 2, INCIDENTS)
    X = np.column_stack([np.ones(INCIDENTS), rural, tenure]).astype(float)
    truth = generator.random(INCIDENTS) < special.expit(X @ COEFFICIENTS + effect[agency])
    sensitivity = np.where(rural == 1, SENSITIVITY[1], SENSITIVITY[0])
    specificity = np.where(rural == 1, SPECIFICITY[1], SPECIFICITY[0])
    chance = generator.random(INCIDENTS)
    predicted = np.where(truth, chance < sensitivity, chance > specificity)
    pi = INCLUSION[rural, predicted.astype(int)]
    drawn = generator.random(INCIDENTS) < pi
    return {
        "X": X,
        "predicted": predicted.astype(float),
        "truth": truth.astype(float),
        "gold": np.where(drawn, truth, np.nan),
        "pi": pi,
        "agency": agency,
    }


def estimates_of(
    registry: dict[str, np.ndarray], small_sample: str
) -> dict[str, tuple[EstimationResult, EstimationResult]]:
    """Return the share and the coefficients by each estimator."""
    X, gold, pi = registry["X"], registry["gold"], registry["pi"]
    predicted, agency = registry["predicted"], registry["agency"]
    options = {"clusters": agency, "small_sample": small_sample}
    if small_sample == "independent":
        options = {}
    return {
        "naive": (
            hajek_mean(predicted, 1.0, **options),
            gold_only_logit(X, predicted, 1.0, **options),
        ),
        "gold_only": (hajek_mean(gold, pi, **options), gold_only_logit(X, gold, pi, **options)),
        "dsl": (
            dsl_mean(predicted, gold, pi, **options),
            dsl_logit(X, predicted, gold, pi, **options),
        ),
        "ppi": (
            ppi_mean(predicted, gold, pi, **options),
            ppi_logit(X, predicted, gold, pi, **options),
        ),
    }


def one_run(
    seed: int, *, agencies: int, small_sample: str, icc: float, values: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Return, by estimator, whether each interval held the truth and its width; and the F1."""
    registry = draw_registry(np.random.default_rng(seed), agencies, icc)
    held, width = {}, {}
    for name, results in estimates_of(registry, small_sample).items():
        low = np.concatenate([np.atleast_1d(result.conf_low) for result in results])
        high = np.concatenate([np.atleast_1d(result.conf_high) for result in results])
        held[name], width[name] = (low <= values) & (values <= high), high - low
    truth, predicted = registry["truth"], registry["predicted"]
    f1 = 2 * np.sum(truth * predicted) / (truth.sum() + predicted.sum())
    return held, width, float(f1)


def simulate(
    runs: int, *, agencies: int = 30, small_sample: str = "CR2", seed: int = 0, workers: int = 1
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Return coverage and mean width by estimator, arrays over `TERMS`, and the mean F1.

    With ``small_sample="independent"`` rows are independent, in truth and in the analysis.
    """
    icc = 0.0 if small_sample == "independent" else ICC
    values = population_values(icc)
    task = partial(one_run, agencies=agencies, small_sample=small_sample, icc=icc, values=values)
    seeds = range(seed, seed + runs)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            results = list(pool.map(task, seeds, chunksize=20))
    else:
        results = [task(number) for number in seeds]
    names = list(results[0][0])
    coverage = {name: np.mean([held[name] for held, _, _ in results], axis=0) for name in names}
    width = {name: np.mean([wide[name] for _, wide, _ in results], axis=0) for name in names}
    return coverage, width, float(np.mean([f1 for _, _, f1 in results]))


def show(coverage: dict[str, np.ndarray], width: dict[str, np.ndarray]) -> None:
    """Print coverage in per cent, and width as a share of gold-only's."""
    print(f"{'':12}" + "".join(f"{term:>22}" for term in TERMS))
    for name, shares in coverage.items():
        relative = width[name] / width["gold_only"]
        cells = [f"{100 * c:6.1f}%  width {w:4.2f}" for c, w in zip(shares, relative, strict=True)]
        print(f"{name:12}" + "".join(f"{cell:>22}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--agencies", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    start = time.perf_counter()
    share = population_values()
    print("population: " + ", ".join(f"{t} {v:.3f}" for t, v in zip(TERMS, share, strict=True)))
    for agencies, option in (
        (arguments.agencies, "CR2"),
        (12, "none"),
        (12, "CR2"),
        (arguments.agencies, "independent"),
    ):
        coverage, width, f1 = simulate(
            arguments.runs, agencies=agencies, small_sample=option, workers=arguments.workers
        )
        label = {
            "none": "plain sandwich, t(G - 1)",
            "CR2": "CR2, Satterthwaite",
            "independent": "independent rows (ICC 0)",
        }[option]
        print(f"\n{agencies} agencies, {label}; {arguments.runs} runs, classifier F1 {f1:.2f}")
        show(coverage, width)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

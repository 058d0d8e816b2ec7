"""Coverage of 95% intervals on simulated registries whose truth is known by summation.

Registries are those of `simulate_registry`: agencies of unequal size with an intraclass correlation
of .05 (latent scale), reporting that differs by setting, two categories that depend on setting and
tenure, and a classifier with an F1 of about .8 whose errors differ by setting. 500 of about 4,000
reports get gold codes, the same number in every setting, so that inclusion probabilities differ.

What is to be covered, for each category:

- the share among reported incidents and the logit coefficients of the *process*: the mean over
  agencies and incidents that might have been (`RegistryTruth.prevalence.share_reported`,
  `.intercepts`, `.effects.log_odds_ratio`). Coefficients are marginal, that is averaged over
  agencies, because that is what a regression without agency effects estimates. They are known
  exactly since agency effects follow the bridge distribution: given the agency the coefficients
  are the marginal ones divided by sqrt(1 - ICC). Reporting differs by setting alone, which moves
  the share and leaves the coefficients as they are.
- the same of *these reports*: the share, and the coefficients of a regression, with gold codes for
  every row (``finite_population=True``). Only the draw of gold rows is then random.

Printed for each estimator: the share of runs in which the interval holds the value, and the mean
width beside that of gold codes alone.

Run: python benchmarks/coverage.py [--runs 2000] [--workers 2] [--write docs/benchmarks.md]
Bounds, 30 agencies or independent rows: dsl and ppi within 93.5-96.5% for each share and
coefficient, and naive far below for most; on augmented predictions 93-96.5%, since of the rarer
category only about 75 gold codes are present and the regression that sharpens the predictions is
fitted to them.
"""

from __future__ import annotations

import argparse
import re
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from boundary_research.corpus.simulate import (
    ClassifierError,
    Registry,
    RegistryTruth,
    simulate_registry,
)
from boundary_research.inference import augment_predictions, gold_only_logit
from boundary_research.inference._fitting import aggregate, fit
from boundary_research.inference._inputs import Sample
from boundary_research.inference._variance import SamplingDesign, infer

INCIDENTS = 4_600  # that occur; about 4,000 are reported
GOLD = 500
ICC = 0.05
ATTRIBUTES = {
    "setting": {"urban": 0.5, "rural": 0.3, "small_community": 0.2},
    "tenure": {"long": 0.5, "short": 0.5},
}
REPORTING = {"setting": {"urban": 0.95, "rural": 0.8, "small_community": 0.75}}
PREVALENCE = {"frequent": 0.3, "rarer": 0.15}
EFFECTS = {
    "frequent": {"setting": {"rural": 0.6, "small_community": -0.4}, "tenure": {"short": -0.4}},
    "rarer": {"setting": {"rural": -0.3, "small_community": 0.5}, "tenure": {"short": 0.5}},
}
ERROR = {
    "frequent": ClassifierError(0.87, 0.91, by="setting", levels={"rural": (0.77, 0.88)}),
    "rarer": ClassifierError(0.75, 0.985, by="setting", levels={"small_community": (0.6, 0.985)}),
}
TERMS = ("share", "intercept", "rural", "small_community", "short_tenure")
ESTIMATORS = ("naive", "gold_only", "dsl", "ppi", "dsl_augmented", "ppi_augmented")


@dataclass(frozen=True)
class Analysis:
    """How a registry is analysed: which clusters count, and what is to be covered."""

    title: str
    agencies: int = 30
    icc: float = ICC
    small_sample: str = "CR2"
    finite: bool = False


ANALYSES = (
    Analysis("30 agencies, the process, CR2"),
    Analysis("30 agencies, these reports", finite=True),
    Analysis("12 agencies, the process, plain sandwich", agencies=12, small_sample="none"),
    Analysis("12 agencies, the process, CR2", agencies=12),
    Analysis("12 agencies, the process, wild bootstrap", agencies=12, small_sample="wild"),
    Analysis("independent rows (ICC 0), the process", icc=0.0, small_sample="none"),
)


def draw_registry(seed: int, *, agencies: int = 30, icc: float = ICC) -> Registry:
    """Return one registry of reported incidents."""
    return simulate_registry(
        INCIDENTS,
        prevalence=PREVALENCE,
        effects=EFFECTS,
        attributes=ATTRIBUTES,
        reporting=REPORTING,
        n_agencies=agencies,
        icc=icc,
        classifier_error=ERROR,
        random_state=seed,
    )


def process_values(truth: RegistryTruth) -> np.ndarray:
    """Return the truth of the process, shape (K, terms)."""
    shares = truth.prevalence.query("attribute == ''").set_index("category")["share_reported"]
    values = []
    for category in PREVALENCE:
        own = truth.effects[truth.effects["category"] == category].set_index("level")
        slopes = own.loc[["rural", "small_community", "short"], "log_odds_ratio"]
        values.append([shares[category], truth.intercepts[category], *slopes])
    return np.array(values)


def design_matrix(registry: Registry) -> np.ndarray:
    """Return X, shape (n, 4)."""
    setting, tenure = registry.complete["setting"], registry.complete["tenure"]
    marks = [setting == "rural", setting == "small_community", tenure == "short"]
    return np.column_stack([np.ones(len(registry)), *marks]).astype(float)


def registry_values(registry: Registry) -> np.ndarray:
    """Return what gold codes of every report would give, shape (K, terms)."""
    X, present = design_matrix(registry), registry.present.astype(float)
    rows = [[y.mean(), *gold_only_logit(X, y, 1.0).estimate] for y in present.T]
    return np.array(rows)


@dataclass(frozen=True)
class Study:
    """What an analyst has: X, agencies and model codes of n rows; π and gold codes, else NaN."""

    X: np.ndarray
    agency: np.ndarray
    pi: np.ndarray
    gold: np.ndarray
    predicted: np.ndarray
    augmented: np.ndarray


def draw_study(registry: Registry, seed: int, *, clustered: bool) -> Study:
    """Return `GOLD` gold codes, as many from every setting, and augmented predictions."""
    rows = registry.draw_gold(GOLD, by="setting", random_state=seed).drop_duplicates("incident_id")
    own = rows.set_index("incident_id").reindex(registry.incidents["incident_id"])
    pi = own["inclusion_probability"].to_numpy(dtype=float)
    gold = np.where(np.isnan(pi)[:, None], np.nan, registry.present)
    X, agency = (
        design_matrix(registry),
        np.unique(registry.incidents["agency_id"], return_inverse=True)[1],
    )
    groups = agency if clustered else None
    sharper = [
        augment_predictions(
            registry.probability[:, k], gold[:, k], pi, X, groups=groups, random_state=seed
        )
        for k in range(len(PREVALENCE))
    ]
    return Study(
        X=X,
        agency=agency,
        pi=pi,
        gold=gold,
        predicted=registry.predicted.astype(float),
        augmented=np.column_stack([values for values, _ in sharper]),
    )


def sample_of(study: Study, X: np.ndarray, predicted: np.ndarray, analysis: Analysis) -> Sample:
    """Return the arrays that `prevalence` and `risk_factors` hand to the estimators."""
    n, rows = len(X), np.flatnonzero(~np.isnan(study.pi))
    labels = [study.agency] if analysis.icc else []
    return Sample(
        X=X,
        predicted=predicted,
        rows=rows,
        gold=study.gold[rows],
        weights=np.ones(n),
        offset=np.zeros(n),
        labels=labels,
        design=SamplingDesign(
            probability=study.pi[rows],
            n_total=n,
            sizes=[int(way.max()) + 1 for way in labels],
            gold_labels=[way[rows] for way in labels],
            strata=study.X[rows, 1] + 2 * study.X[rows, 2],
            finite=analysis.finite,
        ),
    )


def limits_of(study: Study, analysis: Analysis, seed: int) -> dict[str, np.ndarray]:
    """Return lower and upper limits by estimator, shape (2, K, terms).

    These are the fits behind `prevalence` and `risk_factors`, all categories at once.
    """
    found = {name: np.empty((2, len(PREVALENCE), len(TERMS))) for name in ESTIMATORS}
    for X, family, terms in (
        (study.X[:, :1], "ols", slice(0, 1)),
        (study.X, "logit", slice(1, None)),
    ):
        plain = sample_of(study, X, study.predicted, analysis)
        sharper = sample_of(study, X, study.augmented, analysis)
        census = replace(plain, design=replace(plain.design, strata=None, finite=False))
        bases = aggregate(plain), aggregate(sharper)
        for name, (estimator, sample, base) in {
            "naive": ("naive", census, bases[0]),
            "gold_only": ("gold_only", plain, bases[0]),
            "dsl": ("dsl", plain, bases[0]),
            "ppi": ("ppi", plain, bases[0]),
            "dsl_augmented": ("dsl", sharper, bases[1]),
            "ppi_augmented": ("ppi", sharper, bases[1]),
        }.items():
            fitted = fit(sample, family, estimator, base=base)
            known = infer(
                fitted.equations,
                fitted.b,
                fitted.jacobian,
                sample.design,
                small_sample=analysis.small_sample,
                centring=fitted.centring,
                random_state=np.random.default_rng(seed),
            )
            found[name][:, :, terms] = known.conf_low, known.conf_high
    return found


def one_run(seed: int, analyses: tuple[Analysis, ...]) -> dict[str, np.ndarray]:
    """Return, for each analysis and estimator, hits and widths, shape (2, K, terms); and the F1.

    `analyses` share their registry: they have the same agencies and ICC.
    """
    registry = draw_registry(seed, agencies=analyses[0].agencies, icc=analyses[0].icc)
    study = draw_study(registry, seed, clustered=analyses[0].icc > 0)
    found: dict[str, np.ndarray] = {}
    for analysis in analyses:
        values = registry_values(registry) if analysis.finite else process_values(registry.truth)
        for name, (low, high) in limits_of(study, analysis, seed).items():
            held = (low <= values) & (values <= high)
            found[f"{analysis.title}|{name}"] = np.stack([held, high - low])
    both = (registry.present & registry.predicted).sum(axis=0)
    found["f1"] = 2 * both / (registry.present.sum(axis=0) + registry.predicted.sum(axis=0))
    return found


@dataclass
class Coverage:
    """Coverage and mean width by estimator, arrays (K, terms), and the classifier's F1, (K,)."""

    title: str
    runs: int
    coverage: dict[str, np.ndarray]
    width: dict[str, np.ndarray]
    f1: np.ndarray

    def relative_width(self, name: str) -> np.ndarray:
        """Return the mean width as a share of that of gold codes alone."""
        return self.width[name] / self.width["gold_only"]

    def markdown(self) -> str:
        """Return a table row for each estimator, the categories side by side."""
        lines = []
        for name, shares in self.coverage.items():
            cells = [self.title if not lines else "", name]
            cells += [" / ".join(f"{100 * value:.1f}" for value in row) for row in shares]
            cells += [
                " / ".join(f"{value:.2f}" for value in row) for row in self.relative_width(name)
            ]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


def simulate(
    runs: int, analyses: tuple[Analysis, ...] = ANALYSES, *, seed: int = 0, workers: int = 1
) -> list[Coverage]:
    """Return the coverage of each analysis over `runs` registries."""
    groups: dict[tuple[int, float], list[Analysis]] = {}
    for analysis in analyses:
        groups.setdefault((analysis.agencies, analysis.icc), []).append(analysis)
    done = []
    for same in groups.values():
        task, seeds = partial(one_run, analyses=tuple(same)), range(seed, seed + runs)
        if workers > 1:
            with ProcessPoolExecutor(workers) as pool:
                results = list(pool.map(task, seeds, chunksize=20))
        else:
            results = [task(number) for number in seeds]
        means = {key: np.mean([result[key] for result in results], axis=0) for key in results[0]}
        for analysis in same:
            own = {
                key.removeprefix(f"{analysis.title}|"): value
                for key, value in means.items()
                if key.startswith(f"{analysis.title}|")
            }
            coverage = {name: value[0] for name, value in own.items()}
            width = {name: value[1] for name, value in own.items()}
            done.append(Coverage(analysis.title, runs, coverage, width, means["f1"]))
    return done


def report(results: list[Coverage]) -> str:
    """Return the results as Markdown."""
    f1 = ", ".join(f"{value:.2f}" for value in np.mean([r.f1 for r in results], axis=0))
    columns = ["registries and target", "estimator"]
    columns += [f"coverage, {category}" for category in PREVALENCE]
    columns += [f"width, {category}" for category in PREVALENCE]
    head = [
        f"{results[0].runs:,} registries each; the classifier's F1 is {f1} "
        f"({', '.join(PREVALENCE)}).",
        "Coverage of 95% intervals in %, and mean width as a share of that of gold codes alone, of",
        f"{', '.join(TERMS[:-1])} and {TERMS[-1]}, in this order.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    return "\n".join([*head, *(result.markdown() for result in results)])


def write_section(path: Path, text: str) -> None:
    """Replace what stands between the marks of this benchmark in a page."""
    page = path.read_text("utf-8")
    marks = r"(<!-- coverage\.py -->\n).*?(<!-- end -->)"
    if not re.search(marks, page, flags=re.DOTALL):
        raise SystemExit(f"{path} has no marks <!-- coverage.py --> and <!-- end -->.")
    page = re.sub(marks, lambda m: f"{m[1]}{text}\n{m[2]}", page, flags=re.DOTALL)
    path.write_text(page, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--write", type=Path, help="also write the table into this page")
    arguments = parser.parse_args()
    start = time.perf_counter()
    for category, values in zip(PREVALENCE, process_values(draw_registry(0).truth), strict=True):
        listed = ", ".join(f"{t} {v:.3f}" for t, v in zip(TERMS, values, strict=True))
        print(f"truth of the process, {category}: {listed}")
    text = report(simulate(arguments.runs, workers=arguments.workers))
    print(text)
    if arguments.write:
        write_section(arguments.write, text)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

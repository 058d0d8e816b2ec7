"""Registries of incidents with known effects, prevalence, reporting and classifier error."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from boundary_research._checks import DataError, check_choice, check_random_state
from boundary_research._files import write_json, write_table
from boundary_research.corpus import _registry_tables as tables
from boundary_research.corpus._registry import Registry, WrittenRegistry
from boundary_research.corpus._registry_blocks import NarrativePool, RegistryDraws
from boundary_research.corpus._registry_model import (
    ATTRIBUTES,
    ClassifierError,
    Given,
    RegistryModel,
    build_model,
)
from boundary_research.corpus._registry_truth import RegistryTruth, compute_truth

__all__ = [
    "ATTRIBUTES",
    "ClassifierError",
    "Given",
    "Registry",
    "RegistryTruth",
    "WrittenRegistry",
    "simulate_registry",
    "write_registry",
]


def _prepare(
    n: int,
    *,
    prevalence: Mapping[str, float],
    effects: Mapping[str, Mapping[str, Mapping[str, float]]] | None,
    attributes: Mapping[str, Mapping[str, float] | Given] | None,
    agency_attributes: Sequence[str],
    reporting: Mapping[Any, Mapping[Any, float]] | None,
    n_agencies: int,
    agency_size_sd: float,
    icc: float,
    n_practitioners: int | None,
    practitioner_icc: float,
    association: float,
    severity: Mapping[str, Sequence[float]] | Sequence[float] | None,
    classifier_error: ClassifierError | Mapping[str, ClassifierError] | None,
    not_stated: Mapping[str, float] | None,
    narratives: pd.DataFrame | None,
    period: tuple[str, str],
    random_state: int | np.random.Generator | None,
) -> tuple[RegistryModel, RegistryDraws, np.datetime64]:
    for name, value in {"n": n, "n_agencies": n_agencies}.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise DataError(f"{name} must be a whole number of at least 1, got {value!r}.")
    if n >= 10**9:
        raise DataError(f"n must be below 1,000,000,000, got {n}.")
    try:
        start, end = (np.datetime64(day, "D") for day in period)
    except ValueError:
        raise DataError("period must be two dates such as ('2016-01-01', '2025-12-31').") from None
    if end < start:
        raise DataError("period must end on or after the day it starts.")
    if not (np.isfinite(agency_size_sd) and agency_size_sd >= 0):
        raise DataError(f"agency_size_sd must be 0 or more, got {agency_size_sd!r}.")
    if n_practitioners is None:
        n_practitioners = max(n_agencies, 3 * n)
    if n_practitioners < n_agencies:
        raise DataError(
            f"n_practitioners must be at least one an agency: {n_practitioners} given, "
            f"{n_agencies} agencies."
        )
    model = build_model(
        prevalence=prevalence,
        effects=effects or {},
        attributes=ATTRIBUTES if attributes is None else attributes,
        agency_attributes=agency_attributes,
        reporting=reporting or {},
        classifier_error=classifier_error,
        severity=severity,
        not_stated=not_stated or {},
        icc=icc,
        practitioner_icc=practitioner_icc,
        association=association,
    )
    draws = RegistryDraws(
        model,
        int(n),
        seed=int(check_random_state(random_state).integers(2**63)),
        n_agencies=int(n_agencies),
        agency_size_sd=float(agency_size_sd),
        n_practitioners=int(n_practitioners),
        days=int((end - start).astype(int)) + 1,
        pool=None if narratives is None else NarrativePool(narratives, model.categories),
    )
    return model, draws, start


def simulate_registry(
    n: int,
    *,
    prevalence: Mapping[str, float],
    effects: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    attributes: Mapping[str, Mapping[str, float] | Given] | None = None,
    agency_attributes: Sequence[str] = (),
    reporting: Mapping[Any, Mapping[Any, float]] | None = None,
    n_agencies: int = 30,
    agency_size_sd: float = 0.5,
    icc: float = 0.0,
    n_practitioners: int | None = None,
    practitioner_icc: float = 0.0,
    association: float = 0.0,
    severity: Mapping[str, Sequence[float]] | Sequence[float] | None = None,
    classifier_error: ClassifierError | Mapping[str, ClassifierError] | None = None,
    not_stated: Mapping[str, float] | None = None,
    narratives: pd.DataFrame | None = None,
    period: tuple[str, str] = ("2016-01-01", "2025-12-31"),
    random_state: int | np.random.Generator | None = None,
) -> Registry:
    """Simulate `n` incidents of which the reported ones enter a registry.

    Parameters
    ----------
    n : int
        Incidents that occur; with `reporting`, fewer enter the registry.
    prevalence : mapping of str to float
        For each category its share among all incidents, averaged over attributes and agencies. Its
        keys are the categories.
    effects : mapping, optional
        ``{category: {attribute: {level: log odds ratio}}}``; what is not named is 0. They are
        effects averaged over agencies and practitioners: what a logistic regression of the true
        codes on the attributes estimates.
    attributes : mapping, optional
        ``{attribute: {level: share}}``, or a `Given` for an attribute that depends on one before it
        (a confounder, say). By default `ATTRIBUTES`.
    agency_attributes : sequence of str
        Attributes that are the same for all incidents of an agency.
    reporting : mapping, optional
        Probability of being reported, as factors that are multiplied; what is not named is 1.
        Keys: an attribute (``{"setting": {"rural": 0.5}}``); ``"severity"``, the worst one of the
        incident (``{"none": 0.1, 0: 0.3, 1: 0.6}``); ``"category"``, for each one present; and
        pairs ``("setting", "severity")`` or ``("setting", "category")`` with pairs as keys.
    n_agencies : int
    agency_size_sd : float
        Standard deviation of the logarithm of an agency's expected number of incidents.
    icc : float in [0, 1)
        Share of the latent (logistic) variance that lies between agencies, for every category.
    n_practitioners : int, optional
        By default three for each incident: then about a fifth of those named have more than one
        report, as in Bismark and others (2020), and most have none.
    practitioner_icc : float in [0, 1)
        Share of the latent variance between practitioners of an agency.
    association : float in [0, 1)
        Share of the latent variance that all categories of an incident have in common.
    severity : three floats, or mapping of category to three floats
        Shares of severity 0, 1 and 2 where a category is present; 0.2, 0.4, 0.4 by default.
    classifier_error : ClassifierError, or mapping of category to ClassifierError, optional
        By default the classifier is always right.
    not_stated : mapping of str to float, optional
        Share of incidents, at random, in which an attribute is recorded as ``not_stated``.
    narratives : pandas.DataFrame, optional
        Texts to draw from, in the column `narrative`. Columns named after categories (true or
        false) make the draw choose among the texts whose codes differ least from the incident's.
        Without it the narrative is a placeholder.
    period : (str, str)
        First and last day on which incidents occur.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    Registry

    Raises
    ------
    DataError
        If an argument does not fit; the message names it and what is allowed.

    See Also
    --------
    write_registry : the same rows, streamed to files.

    Notes
    -----
    Random effects of agencies, practitioners and incidents follow the bridge distribution (Wang
    and Louis 2003, Biometrika 90:765-775), scaled so that the model averaged over them is again
    logistic with the effects asked for. The latent intraclass correlation is the usual
    σ² / (σ² + π²/3) (Goldstein, Browne and Rasbash 2002, Understanding Statistics 1:223-231).

    Examples
    --------
    >>> registry = simulate_registry(
    ...     4000,
    ...     prevalence={"a": 0.2, "b": 0.1},
    ...     effects={"a": {"setting": {"rural": 0.7}}},
    ...     classifier_error=ClassifierError(0.8, 0.95),
    ...     icc=0.05,
    ...     random_state=1,
    ... )
    >>> registry.present.shape, registry.gold.shape
    ((4000, 2), (8000, 6))
    >>> truth = registry.truth.effects.query("category == 'a' and level == 'rural'")
    >>> truth[["term", "log_odds_ratio", "marginal_difference"]].round(3).values.tolist()
    [['setting[T.rural]', 0.7, 0.122]]
    """
    model, draws, start = _prepare(
        n,
        prevalence=prevalence,
        effects=effects,
        attributes=attributes,
        agency_attributes=agency_attributes,
        reporting=reporting,
        n_agencies=n_agencies,
        agency_size_sd=agency_size_sd,
        icc=icc,
        n_practitioners=n_practitioners,
        practitioner_icc=practitioner_icc,
        association=association,
        severity=severity,
        classifier_error=classifier_error,
        not_stated=not_stated,
        narratives=narratives,
        period=period,
        random_state=random_state,
    )
    blocks = list(draws)
    incidents = pa.concat_tables(
        [tables.incident_table(block, model, start, draws.pool) for block in blocks]
    )
    complete = {
        name: pd.Categorical.from_codes(
            np.concatenate([block.complete[name] for block in blocks]).astype(np.intp),
            pd.Index(attribute.levels),
        )
        for name, attribute in model.attributes.items()
    }

    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(block, name) for block in blocks])

    frame = tables.to_pandas(incidents)
    if frame.empty:
        raise DataError("No incident was reported. Raise n or the reporting probabilities.")
    return Registry(
        incidents=frame,
        complete=pd.DataFrame(complete, index=frame.index),
        categories=model.categories,
        present=stack("present"),
        predicted=stack("predicted"),
        severity=stack("severity"),
        probability=stack("probability"),
        truth=compute_truth(model),
        n_occurred=int(n),
    )


def write_registry(
    path: str | Path,
    n: int,
    *,
    chunk_size: int = 262_144,
    layout: str = "long",
    **options: Any,
) -> WrittenRegistry:
    """Simulate a registry of any size into a folder of Parquet files, in constant memory.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder that does not exist yet. It appears, complete, when the last row is written.
    n : int
        Incidents that occur (see `simulate_registry`, whose other arguments are all taken).
    chunk_size : int
        Rows of a Parquet row group; the rows are the same for every `chunk_size`.
    layout : {"long", "wide"}
        "long": `gold.parquet` and `coded.parquet` with one row an incident and category. "wide":
        one row an incident and one true-or-false column a category, with `probability.parquet`
        beside them.

    Returns
    -------
    WrittenRegistry
        The folder holds `incidents.parquet`, `gold.parquet`, `coded.parquet`, the truth as
        `truth_prevalence.csv`, `truth_effects.csv`, `truth_error.csv`, and `registry.json` with
        counts.

    Raises
    ------
    DataError
        If the folder exists or cannot be written, or an argument does not fit.
    """
    check_choice(layout, ["long", "wide"], name="layout")
    if not isinstance(chunk_size, int | np.integer) or chunk_size < 1:
        raise DataError(f"chunk_size must be a whole number of at least 1, got {chunk_size!r}.")
    folder = Path(path).expanduser()
    if folder.exists():
        raise DataError(f"Folder {str(path)!r} exists. Choose a new one or remove it.")
    bound = inspect.signature(simulate_registry).bind(n, **options)
    bound.apply_defaults()
    model, draws, start = _prepare(**bound.arguments)
    truth = compute_truth(model)
    reported = 0
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            with ExitStack() as stack:
                writers: dict[str, tables.TableWriter] = {}
                for block in draws:
                    reported += len(block)
                    for name, table in tables.block_tables(
                        block, model, start, draws.pool, layout=layout
                    ).items():
                        if name not in writers:
                            writer = tables.TableWriter(temporary / f"{name}.parquet", chunk_size)
                            writers[name] = stack.enter_context(writer)
                        writers[name].write(table)
            for name in ("prevalence", "effects", "error"):
                write_table(getattr(truth, name), temporary / f"truth_{name}")
            counts = {"n_occurred": int(n), "n_reported": reported, "reported": truth.reported}
            icc = {"icc": truth.icc, "practitioner_icc": truth.practitioner_icc}
            intercepts = {"intercepts": truth.intercepts.to_dict()}
            write_json(temporary / "registry.json", {**counts, **icc, **intercepts})
            temporary.chmod(0o755)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be written ({error.strerror}). Choose another folder."
        ) from None
    return WrittenRegistry(folder, truth, int(n), reported)

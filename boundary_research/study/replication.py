"""Replication: a study run again from its own files, and its results compared number by number."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_output_folder
from boundary_research._files import write_table, write_text
from boundary_research.study._causes import (
    CAUSE_COLUMNS,
    compare_manifests,
    find_altered_results,
    name_causes,
    redraws,
)
from boundary_research.study._claims import state_claims
from boundary_research.study._comparison import (
    Tolerances,
    as_text,
    compare_tables,
    read_results,
)
from boundary_research.study._portable_study import make_portable
from boundary_research.study._published_study import (
    RESULTS,
    check_inputs,
    is_archive,
    locate_study,
    read_manifest,
    recorded_hash,
    study_changed,
)
from boundary_research.study._replication_outcome import Replication
from boundary_research.study.plan import StudyPlan

Results = str | Path | Mapping[str, pd.DataFrame]


def compare_results(
    published: Results,
    replicated: Results,
    *,
    redrawn: bool = False,
    crossfitted: bool = True,
    tolerances: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Compare two sets of results number by number, each with its own tolerance.

    Counts and text must be the same. An estimate may differ by 1e-8 of itself (or of its standard
    error, where that is larger), which rounding on another processor can cause. Where random
    numbers were drawn anew, limits of a bootstrap may differ by three Monte-Carlo standard errors
    of the difference, and numbers behind random folds or imputed values by one published standard
    error (counts of what the model codes by the square root of the count, ratios on the scale of
    logarithms, p-values on that of normal deviates).

    Parameters
    ----------
    published, replicated : str, path, or mapping of str to DataFrame
        Output folders (all tables and the plotted data of all figures), or tables by name.
    redrawn : bool
        Whether random numbers were drawn anew: another seed, or other versions of the packages
        that draw them.
    crossfitted : bool
        Whether the classifier was trained in random folds.
    tolerances : mapping, optional
        relative, standard_errors, draws: as in study.yaml.

    Returns
    -------
    DataFrame
        One row a number of the published tables (and a text that is a result): table, row (its
        key in words), row_number (from 1), column, kind (count, estimate, text), origin (inputs,
        draws, folds), published, replicated (texts, as in the files), difference, tolerance,
        tolerance_scale, verdict: reproduced, within tolerance, differs, missing; `added` for what
        only the replication has.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"category": ["a", "b"], "n_gold": [4, 5], "estimate": [0.25, 0.5]})
    >>> other = table.assign(n_gold=[4, 6], estimate=[0.25 + 1e-12, 0.5])
    >>> numbers = compare_results({"shares": table}, {"shares": other})
    >>> numbers[["row", "column", "published", "replicated", "verdict"]]
              row    column published      replicated     verdict
    0  category=a    n_gold         4               4  reproduced
    1  category=b    n_gold         5               6     differs
    2  category=a  estimate      0.25  0.250000000001  reproduced
    3  category=b  estimate       0.5             0.5  reproduced
    """
    before, after = (
        read_results(Path(one))
        if isinstance(one, str | Path)
        else {name: as_text(table) for name, table in one.items()}
        for one in (published, replicated)
    )
    return compare_tables(
        before,
        after,
        tolerances=_tolerances(tolerances or {}),
        redrawn=redrawn,
        crossfitted=crossfitted,
    )


def _tolerances(given: Mapping[str, Any]) -> Tolerances:
    known = {key: float(value) for key, value in given.items() if key in Tolerances._fields}
    return Tolerances(**known)


def _find_causes(
    plan: StudyPlan,
    manifest: Mapping[str, Any],
    again: Mapping[str, Any],
    marker: Mapping[str, Any] | None,
) -> pd.DataFrame:
    causes = compare_manifests(manifest, again)
    told = causes["kind"].isin(["seed", "study", "codebook"]).any()
    extra = [find_altered_results(plan.output, manifest)]
    if study_changed(plan, manifest, marker) and not told:
        row = ("study", plan.file.name, "as of the published run", "another file")
        extra.append(pd.DataFrame([row], columns=CAUSE_COLUMNS))
    filled = [part for part in (*extra, causes) if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else causes


def _remark(published: Path, manifest: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Say what was not compared."""
    pictures = sorted((published / "figures").glob("*.png"))
    bare = [p for p in pictures if not p.with_suffix(".csv").is_file()]
    before, after = manifest.get("outputs", {}), again.get("outputs", {})
    names = [f"figures/{p.name}" for p in bare]
    other = [n for n in names if recorded_hash(before.get(n, "")) != recorded_hash(after.get(n))]
    remarks = []
    if len(names) > len(other):
        remarks.append(
            f"{len(names) - len(other)} figures were published without their plotted data; the "
            f"pictures are the same byte for byte."
        )
    if other:
        listed = ", ".join(Path(name).stem for name in other)
        remarks.append(
            f"{len(other)} figures were published without their plotted data and their pictures "
            f"are not the same; the numbers behind them are in the tables ({listed})."
        )
    return remarks


def _run_again(plan: StudyPlan, folder: Path, *, seed: int | None) -> None:
    """Run the study in a folder of its own, where no cache of the published run lies."""
    from boundary_research.study.run import run_study

    source = plan.file
    if seed is not None:
        source = make_portable(plan, seed=seed).copy(check_output_folder(folder / "study"))
    run_study(source, output=folder / RESULTS)


def _default_folder(study: Path) -> Path:
    if is_archive(study):
        return study.with_name(f"{study.stem}-replication")
    return (study.parent if study.is_file() else study) / "replication"


def _check_target(target: Path, plan: StudyPlan) -> Path:
    """Return the folder for the verdicts; what others put there is not written over."""
    target = target.expanduser()
    if target.resolve().is_relative_to(plan.output.resolve()):
        raise DataError(
            f"Output folder {str(target)!r} is that of the published results, which stay as they "
            f"are. Choose another with -o or --output."
        )
    kept = target / "rerun"
    if kept.exists() and not (kept / "manifest.json").is_file():
        raise DataError(
            f"{str(kept)!r} is there already and was not made by a replication. Choose another "
            f"output folder with -o or --output."
        )
    return check_output_folder(target)


def replicate(
    study: str | Path,
    *,
    output: str | Path | None = None,
    results: str | Path | None = None,
    seed: int | None = None,
    progress: bool = False,
) -> Replication:
    """Run a published study again and compare every number of its results.

    Inputs are checked against the manifest before anything runs. The study then runs in a clean
    temporary folder, and every number of every results table, and the plotted data of every
    figure, is compared with its own tolerance (see `compare_results`). Into the output folder go
    ``replication.html`` (the verdicts), ``claims.csv``, ``replication.csv`` (every number) and
    ``rerun/`` (the tables, figures and manifest of the new run).

    Parameters
    ----------
    study : str or pathlib.Path
        Folder with study.yaml and its output, a study.yaml, or an archive made by `archive_study`.
    output : str or pathlib.Path, optional
        Folder to write to; ``replication`` in the study's folder by default, and beside an archive
        ``NAME-replication``.
    results : str or pathlib.Path, optional
        Where the published results are, if not where the plan says.
    seed : int, optional
        Run with this seed instead, to see what depends on it.
    progress : bool
        Print what is being done.

    Returns
    -------
    Replication

    Raises
    ------
    DataError
        If an input is not the file that the results were made from, there are no results, or an
        archive is unsound. Nothing is run then.
    """
    given = Path(study).expanduser()
    with ExitStack() as stack:
        plan, marker = locate_study(given, results, stack)
        manifest = read_manifest(plan.output)
        check_inputs(plan, manifest)
        published = read_results(plan.output)
        if not published:
            raise DataError(
                f"No results table in {plan.output.name!r}/tables. Run the study first."
            )
        target = _check_target(Path(output or _default_folder(given)), plan)
        if progress:
            altered = study_changed(plan, manifest, marker)
            changed = f", {plan.file.name} is not (the page names what differs)" if altered else ""
            print(
                f"{plan.title}\n  all inputs are as published{changed}; running the study again …",
                flush=True,
            )
        clean = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replication-")))
        _run_again(plan, clean, seed=seed)
        again = read_manifest(clean / RESULTS)
        causes = _find_causes(plan, manifest, again, marker)
        tolerances = _tolerances(getattr(plan, "tolerances", {}))
        numbers = compare_tables(
            published,
            read_results(clean / RESULTS),
            tolerances=tolerances,
            redrawn=redraws(causes),
            crossfitted=plan.classifier.get("train_on", "gold") == "gold",
        )
        numbers["cause"] = name_causes(numbers, causes)
        replication = Replication(
            title=plan.title,
            notice=plan.notice,
            source=given.name,
            folder=target,
            numbers=numbers,
            claims=state_claims(numbers, published),
            causes=causes,
            published=manifest,
            replicated=again,
            tolerances=tolerances._asdict(),
            remarks=_remark(plan.output, manifest, again),
        )
        _write(replication, clean / RESULTS)
    return replication


def _write(replication: Replication, rerun: Path) -> None:
    from boundary_research.study._replication_page import render_replication

    folder = replication.folder
    write_table(replication.claims, folder / "claims")
    write_table(replication.numbers, folder / "replication")
    kept = folder / "rerun"
    shutil.rmtree(kept, ignore_errors=True)
    for part in ("tables", "figures"):
        if (rerun / part).is_dir():
            shutil.copytree(rerun / part, kept / part)
    shutil.copyfile(rerun / "manifest.json", check_output_folder(kept) / "manifest.json")
    write_text(folder / "replication.html", render_replication(replication))
